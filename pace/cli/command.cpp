#include "pace/cli/command.h"

#include <array>
#include <csignal>
#include <iostream>
#include <new>
#include <vector>

#include "pace/base/error.h"
#include "pace/cli/adapt.h"
#include "pace/cli/bench.h"
#include "pace/cli/eval.h"
#include "pace/cli/info.h"
#include "pace/cli/predict.h"
#include "pace/cli/train.h"

namespace pace::cli {
namespace {

constexpr int kFailed = 1, kWrongUse = 2;

struct Entry {
  const char* name;
  const char* summary;
  std::unique_ptr<Command> (*make)();
};

constexpr std::array<Entry, 6> kCommands{{
    {"train", "train a dense classifier, from a model folder or from scratch", make_train},
    {"adapt", "make a trained dense classifier adaptive, and calibrate it", make_adapt},
    {"eval", "accuracy, operations and time at several budgets", make_eval},
    {"predict", "classify pictures or texts", make_predict},
    {"bench", "measure speed on random input", make_bench},
    {"info", "what is in a model folder", make_info},
}};

/// CLI11 gives every mistake a status of its own; help and version are no mistakes.
int finish_parsing(const CLI::App& app, const CLI::ParseError& error) {
  return app.exit(error, std::cout, std::cerr) == 0 ? 0 : kWrongUse;
}

/// Parses the arguments that name no command: --help, --version, or a mistake.
int run_without_command(int argc, const char* const* argv) {
  CLI::App app("Networks that spend compute only where the input needs it.", "pace");
  app.set_version_flag("--version", std::string("pace ") + kVersion);
  for (const Entry& entry : kCommands) app.add_subcommand(entry.name, entry.summary);
  app.require_subcommand(1);
  app.footer("`pace COMMAND --help` shows the options of a command.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return finish_parsing(app, error);
  }
  return 0;
}

/// Runs `work`, and says in one message what went wrong.
template <class Work>
int report_errors(const std::string& name, Terminal& terminal, const Work& work) {
  const auto complain = [&](std::string_view message, int status) {
    terminal.interrupt();
    std::cerr << name << ": " << message << std::endl;
    return status;
  };
  try {
    const int status = work();
    std::cout.flush();
    if (!std::cout) return complain("cannot write to standard output", kFailed);
    return status;
  } catch (const UsageError& error) {
    return complain(error.what(), kWrongUse);
  } catch (const Error& error) {
    return complain(error.what(), kFailed);
  } catch (const c10::Error& error) {  // without the C++ stack it carries
    return complain(error.what_without_backtrace(), kFailed);
  } catch (const std::bad_alloc&) {
    return complain("out of memory; try a smaller --batch", kFailed);
  } catch (const std::exception& error) {
    return complain(error.what(), kFailed);
  }
}

/// A command has an App of its own, so that a recipe for it is a plain list of `key = value`.
int run_entry(const Entry& entry, int argc, const char* const* argv) {
  const std::string name = std::string("pace ") + entry.name;
  const std::unique_ptr<Command> command = entry.make();
  CLI::App app(entry.summary, name);
  app.option_defaults()->always_capture_default();
  app.get_formatter()->column_width(34);
  app.set_version_flag("--version", std::string("pace ") + kVersion);
  app.allow_config_extras(CLI::config_extras_mode::error);  // a misspelt key is no option
  app.set_config("--config", "", "read options from this TOML or INI recipe");
  command->declare(app);
  try {
    app.parse(argc - 1, argv + 1);
  } catch (const CLI::ParseError& error) {
    return finish_parsing(app, error);
  }
  Terminal terminal;
  return report_errors(name, terminal, [&] { return command->run(terminal); });
}

}  // namespace

int run(int argc, const char* const* argv) {
  // Past the limit on the size of files, writing then fails with a message instead of a signal.
  std::signal(SIGXFSZ, SIG_IGN);
  for (const Entry& entry : kCommands) {
    if (argc > 1 && std::string_view(argv[1]) == entry.name) return run_entry(entry, argc, argv);
  }
  return run_without_command(argc, argv);
}

}  // namespace pace::cli
