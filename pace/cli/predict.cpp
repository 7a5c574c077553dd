#include "pace/cli/predict.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iostream>
#include <numeric>
#include <utility>

#include "pace/base/error.h"
#include "pace/cli/budgets.h"
#include "pace/cli/continuation.h"
#include "pace/cli/setup.h"
#include "pace/cli/stream.h"
#include "pace/cli/table.h"
#include "pace/data/audio_windows.h"
#include "pace/data/text_loader.h"
#include "pace/eval/evaluate.h"

namespace pace::cli {
namespace {

struct Prediction {
  /// float [classes], or of the next token [vocabulary]; of speech logits [frames, vocabulary]
  /// only.
  at::Tensor logits, probabilities;
  double macs = 0.0, macs_fraction = 1.0;
  std::optional<int64_t> blocks;  ///< run; of a model with exits
  std::vector<StageUnits> units;  ///< of a model whose stages or steps halt
};

/// What a model is asked, as it takes it, and between which seconds of a sound that lies.
struct Question {
  at::Tensor input;
  double begin = 0.0, end = 0.0;
};

/// Makes questions of an input: one, or of a sound one for each window, as soon as it is there.
using Ask = std::function<void(const Question&)>;
using Prepare = std::function<void(const std::string& input, const Ask& ask)>;

Prepare prepare_pictures(const ImageProcessor& processor) {
  return [processor](const std::string& path, const Ask& ask) {
    ask({processor(load_image(path)).unsqueeze(0)});
  };
}

at::Tensor features(const AudioProcessor& processor, const Audio& audio) {
  return processor(processor.fit(audio)).unsqueeze(0);
}

/// A whole file, which the model may hear at once.
Question whole_sound(const AudioProcessor& processor, const std::string& path) {
  const Audio audio = load_audio(path);
  const double seconds =
      static_cast<double>(audio.samples.numel()) / static_cast<double>(audio.rate);
  return {features(processor, audio), 0.0, seconds};
}

/// Sounds by their files, or standard input's.
Prepare prepare_sounds(const AudioProcessor& processor, const StreamOptions& stream) {
  const int64_t length = stream.window(processor.rate(), processor.samples());
  const int64_t hop = stream.hop(processor.rate(), length);
  return [processor, stream, length, hop](const std::string& input, const Ask& ask) {
    if (processor.samples() == 0 && input != "-" && !stream.divides()) {
      return ask(whole_sound(processor, input));
    }
    const std::unique_ptr<AudioSource> source = stream.open(input, processor.rate());
    AudioWindows windows(*source, processor.rate(), length, hop);
    std::optional<AudioWindow> window = windows.next();
    if (!window) fail("there are no samples");
    for (; window; window = windows.next()) {
      ask({features(processor, window->audio), window->begin, window->end});
    }
  };
}

/// A tab stands between the texts of a pair.
Prepare prepare_texts(std::shared_ptr<const Tokenizer> tokenizer, int64_t most_tokens) {
  return [tokenizer = std::move(tokenizer), most_tokens](const std::string& line, const Ask& ask) {
    if (!is_utf8(line)) fail("bytes that are no UTF-8");
    if (line.find_first_not_of(" \t\r") == std::string::npos) fail("there is no text");
    Text text{line.substr(0, line.find('\t'))};
    if (text.first.size() < line.size()) text.second = line.substr(text.first.size() + 1);
    ask({pad_tokens({encode(*tokenizer, text, most_tokens)})});
  };
}

/// A text to be continued, of which the end counts, behind the tokens that begin every text.
Prepare prepare_prompts(std::shared_ptr<const Tokenizer> tokenizer, int64_t most_tokens) {
  return [tokenizer = std::move(tokenizer), most_tokens](const std::string& text, const Ask& ask) {
    Encoding encoding = encode_prompt(*tokenizer, text);
    const int64_t extra = std::max<int64_t>(0, std::ssize(encoding.ids) - most_tokens);
    const auto own = encoding.ids.begin() + std::ssize(tokenizer->encode("", most_tokens).ids);
    encoding.ids.erase(own, own + extra);
    encoding.types.resize(encoding.ids.size());
    ask({pad_tokens({encoding})});
  };
}

/// One input by itself, so that a broken one costs no other its answer.
Prediction predict(const LoadedModel& model, double budget, bool speech, const at::Tensor& input) {
  const at::NoGradGuard no_grad;
  Pass pass = model.pass_at(budget);
  Prediction prediction;
  const at::Tensor logits = model.model->forward(input, pass).to(at::kFloat)[0];
  prediction.logits = (logits.dim() > 1 && !speech ? logits[-1] : logits).contiguous();
  if (!speech) prediction.probabilities = prediction.logits.softmax(0);
  prediction.macs = pass.ledger.macs()[0].item<double>();
  prediction.macs_fraction = prediction.macs / model.model->dense_macs(input).item<double>();
  prediction.units = units_of(model, pass.ledger);
  if (const auto& halting = pass.ledger.halting()) {
    prediction.blocks = halting->blocks[0].item<int64_t>();
  }
  return prediction;
}

/// Classes from the most probable on, at most `top` of them (0: all).
std::vector<int64_t> ranking(const at::Tensor& probabilities, int64_t top) {
  const float* p = probabilities.const_data_ptr<float>();
  std::vector<int64_t> order(static_cast<size_t>(probabilities.numel()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [p](int64_t a, int64_t b) { return p[a] > p[b]; });
  if (top > 0 && top < probabilities.numel()) order.resize(static_cast<size_t>(top));
  return order;
}

/// In double quotes where blanks or control characters would not be seen.
std::string shown(const std::string& label) {
  const bool plain = !label.empty() && label.front() > ' ' && label.back() > ' ';
  return plain ? label : dump(json(label));
}

std::string depth_of(const Prediction& prediction) {
  if (prediction.blocks) return fmt::format(", {} blocks", *prediction.blocks);
  if (prediction.units.empty()) return {};
  return fmt::format(", {:.2f} units", mean_units(prediction.units));
}

/// Logits [classes] as a list, those of frames as a list of lists.
json numbers(const at::Tensor& logits) {
  if (logits.dim() > 1) {
    json frames = json::array();
    for (const at::Tensor& frame : logits.unbind()) frames.push_back(numbers(frame));
    return frames;
  }
  const float* begin = logits.const_data_ptr<float>();
  return std::vector<float>(begin, begin + logits.numel());
}

/// The tokens of a vocabulary as they are in texts.
std::vector<std::string> tokens_of(const Tokenizer& tokenizer, int64_t vocabulary) {
  std::vector<std::string> tokens;
  for (int64_t id = 0; id < vocabulary; ++id) tokens.push_back(tokenizer.token(id));
  return tokens;
}

class Predict : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("inputs", inputs_,
                   "pictures, JPEG or PNG; for a model that reads text, texts; for one that hears, "
                   "WAV or FLAC files, or - for raw samples from standard input (16 bits, "
                   "little-endian, one channel)");
    app.add_option("--lines", lines_,
                   "a file with a text on each line, a tab between those of a pair (-: standard "
                   "input)");
    app.add_option("--model", model_, "model folder")->required();
    budget_.declare(app, false);
    add_dtype(app, type_);
    app.add_flag("--json", json_, "print one JSON object per input and line");
    app.add_flag("--logits", logits_, "with --json: the logits too");
    app.add_option("--top", top_,
                   "classes to give probabilities of, best first (0: all with --json, else one)")
        ->check(at_least(0));
    continuation_.declare(app);
    stream_.declare(app);
    threads_.declare(app);
  }

  int run(Terminal& terminal) override {
    threads_.apply();
    LoadedModel model = load_model(fs::path(model_));
    model.type = type_;
    const bool text = model.reads_text();
    sound_ = model.modality() == Modality::kSound;
    if (!sound_) stream_.refuse();
    if (!lines_.empty() && !text) throw UsageError("--lines is for models that read text");
    if (inputs_.empty() && lines_.empty()) {
      throw UsageError(text     ? "give texts, or --lines FILE"
                       : sound_ ? "give sounds, WAV or FLAC, or - for standard input"
                                : "give pictures, JPEG or PNG");
    }
    const double budget = budget_.budgets(model).front();
    model.pass_at(budget);  // an impossible budget is no fault of the first input
    if (continuation_.tokens > 0) return write(model, budget, terminal);
    std::vector<std::string> labels = model.model->labels();
    vocabulary_ = ctc_vocabulary_of(model, model_);
    language_model_ = model.language_model();
    const Prepare prepare = prepare_for(model, labels);
    int64_t asked = 0, failed = 0;
    each_input(text, [&](const std::string& input, const std::string& place) {
      ++asked;
      try {
        prepare(input, [&](const Question& question) {
          print(input, question, predict(model, budget, vocabulary_ != nullptr, question.input),
                labels);
        });
      } catch (const Error& error) {
        terminal.warn(place + error.what());
        ++failed;
      }
    });
    if (failed > 0) fail("{} of {} inputs could not be answered", failed, asked);
    return 0;
  }

 private:
  /// Continues all texts, so many at once.
  int write(const LoadedModel& model, double budget, Terminal& terminal) const {
    if (!model.reads_text()) throw UsageError("--tokens is for models that write");
    const Writer writer(model, tokenizer_of(model, model_), budget, continuation_, json_);
    int64_t asked = 0, failed = 0;
    Writer::Batch batch;
    const auto flush = [&] {
      const Writer::Batch whole = std::exchange(batch, {});
      try {
        if (!whole.texts.empty()) writer.write(whole);
      } catch (const Error& error) {
        terminal.warn(error.what());
        failed += std::ssize(whole.texts);
      }
    };
    each_input(true, [&](const std::string& input, const std::string& place) {
      ++asked;
      try {
        batch.prompts.push_back(writer.prompt(input));
        batch.texts.push_back(input);
      } catch (const Error& error) {
        terminal.warn(place + error.what());
        ++failed;
      }
      if (std::ssize(batch.texts) == continuation_.batch) flush();
    });
    flush();
    if (failed > 0) fail("{} of {} inputs could not be answered", failed, asked);
    return 0;
  }

  /// Of a language model, `labels` become its tokens.
  Prepare prepare_for(const LoadedModel& model, std::vector<std::string>& labels) const {
    const json& config = model.model->config();
    if (sound_) return prepare_sounds(audio_processor_of(model, model_), stream_);
    if (!model.reads_text()) return prepare_pictures(image_processor_of(model, model_));
    const auto tokenizer = tokenizer_of(model, model_);
    const TextLimits limits = text_limits(config);
    if (!language_model_) return prepare_texts(tokenizer, limits.tokens);
    labels = tokens_of(*tokenizer, limits.vocabulary);
    return prepare_prompts(tokenizer, limits.tokens);
  }

  /// How many answers to give: all classes only where they are few.
  int64_t answers() const {
    constexpr int64_t kNextTokens = 10;
    if (top_ > 0) return top_;
    return !json_ ? 1 : language_model_ ? kNextTokens : 0;
  }

  /// By name; of tokens a list, since different ones may look the same.
  json probabilities(const std::vector<int64_t>& order, const float* p,
                     const std::vector<std::string>& labels) const {
    json out = language_model_ ? json::array() : json::object();
    for (const int64_t c : order) {
      if (language_model_) {
        out.push_back({{"id", c}, {"token", labels.at(c)}, {"probability", p[c]}});
      } else {
        out[labels.at(c)] = p[c];
      }
    }
    return out;
  }

  using Take = std::function<void(const std::string& input, const std::string& place)>;

  /// Every input, with what to call its place.
  void each_input(bool text, const Take& take) const {
    std::ifstream file;
    if (!lines_.empty() && lines_ != "-") {
      file.open(lines_);
      if (!file) fail("'{}' cannot be read", lines_);
    }
    for (const std::string& input : inputs_) {
      take(input, text || sound_ ? "'" + input + "': " : "");  // a picture's errors name its file
    }
    if (lines_.empty()) return;
    std::istream& lines = lines_ == "-" ? std::cin : file;
    std::string line;
    for (int64_t number = 1; std::getline(lines, line); ++number) {
      if (line.ends_with('\r')) line.pop_back();
      take(line, fmt::format("{}, line {}: ", lines_ == "-" ? "standard input" : lines_, number));
    }
  }

  /// The best classes or tokens, or what a speech recogniser wrote.
  std::string answer_text(const Prediction& prediction,
                          const std::vector<std::string>& labels) const {
    if (vocabulary_) return " " + vocabulary_->decode(prediction.logits);
    const float* p = prediction.probabilities.const_data_ptr<float>();
    std::string text;
    for (const int64_t c : ranking(prediction.probabilities, answers())) {
      text += fmt::format(" {} {}", shown(labels.at(c)), percent(p[c]));
    }
    return text;
  }

  json answer_json(const Prediction& prediction, const std::vector<std::string>& labels) const {
    if (vocabulary_) return {{"text", vocabulary_->decode(prediction.logits)}};
    const float* p = prediction.probabilities.const_data_ptr<float>();
    const std::vector<int64_t> order = ranking(prediction.probabilities, answers());
    return {{"label", labels.at(order.front())},
            {"probabilities", probabilities(order, p, labels)}};
  }

  void print(const std::string& input, const Question& question, const Prediction& prediction,
             const std::vector<std::string>& labels) const {
    if (!json_) {
      std::cout << input;
      if (sound_) std::cout << fmt::format(" {:.2f}-{:.2f} s", question.begin, question.end);
      std::cout << ":" << answer_text(prediction, labels)
                << fmt::format(" ({} of the dense operations{})", percent(prediction.macs_fraction),
                               depth_of(prediction))
                << std::endl;  // whoever listens to a stream need not wait
      return;
    }
    json object = answer_json(prediction, labels);
    object.update(
        {{"input", input}, {"macs", prediction.macs}, {"macs_fraction", prediction.macs_fraction}});
    if (sound_) object.update({{"begin", question.begin}, {"end", question.end}});
    if (prediction.blocks) object["blocks"] = *prediction.blocks;
    if (!prediction.units.empty()) object["units"] = to_json(prediction.units);
    if (logits_) object["logits"] = numbers(prediction.logits);
    std::cout << dump(object) << std::endl;
  }

  std::vector<std::string> inputs_;
  std::string model_, lines_;
  at::ScalarType type_ = at::kFloat;
  BudgetOptions budget_;
  ContinuationOptions continuation_;
  StreamOptions stream_;
  std::shared_ptr<const CtcVocabulary> vocabulary_;  ///< of a speech recogniser
  ThreadOptions threads_;
  int64_t top_ = 0;
  bool json_ = false, logits_ = false, language_model_ = false, sound_ = false;
};

}  // namespace

std::unique_ptr<Command> make_predict() { return std::make_unique<Predict>(); }

}  // namespace pace::cli
