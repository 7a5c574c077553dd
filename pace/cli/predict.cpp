#include "pace/cli/predict.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <iostream>
#include <numeric>

#include "pace/base/error.h"
#include "pace/cli/budgets.h"
#include "pace/cli/setup.h"
#include "pace/cli/table.h"

namespace pace::cli {
namespace {

struct Prediction {
  at::Tensor logits, probabilities;  ///< float [classes]
  double macs = 0.0, macs_fraction = 1.0;
};

/// One picture by itself, so that a broken one costs no other its answer.
Prediction predict(const LoadedModel& model, const ImageProcessor& processor, double budget,
                   const fs::path& path) {
  const at::NoGradGuard no_grad;
  const at::Tensor pixels = processor(load_image(path)).unsqueeze(0);
  Pass pass = model.pass_at(budget);
  Prediction prediction;
  prediction.logits = model.model->forward(pixels, pass).to(at::kFloat)[0].contiguous();
  prediction.probabilities = prediction.logits.softmax(0);
  prediction.macs = pass.ledger.macs()[0].item<double>();
  prediction.macs_fraction = prediction.macs / model.model->dense_macs(pixels).item<double>();
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

class Predict : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("files", files_, "pictures, JPEG or PNG")->required();
    app.add_option("--model", model_, "model folder")->required();
    budget_.declare(app, false);
    add_dtype(app, type_);
    app.add_flag("--json", json_, "print one JSON object per picture and line");
    app.add_flag("--logits", logits_, "with --json: the logits too");
    app.add_option("--top", top_,
                   "classes to give probabilities of, best first (0: all with --json, else one)")
        ->check(at_least(0));
    threads_.declare(app);
  }

  int run(Terminal& terminal) override {
    threads_.apply();
    LoadedModel model = load_model(fs::path(model_));
    model.type = type_;
    const ImageProcessor processor = processor_of(model, model_);
    const double budget = budget_.budgets(model).front();
    model.pass_at(budget);  // an impossible budget is no fault of the first picture
    int64_t failed = 0;
    for (const std::string& file : files_) {
      try {
        print(file, predict(model, processor, budget, file), model.model->labels());
      } catch (const Error& error) {
        terminal.warn(error.what());
        ++failed;
      }
    }
    if (failed > 0) fail("{} of {} pictures could not be classified", failed, files_.size());
    return 0;
  }

 private:
  void print(const std::string& file, const Prediction& prediction,
             const std::vector<std::string>& labels) const {
    const float* p = prediction.probabilities.const_data_ptr<float>();
    const std::vector<int64_t> order =
        ranking(prediction.probabilities, top_ > 0 || json_ ? top_ : 1);
    if (!json_) {
      std::cout << file << ":";
      for (const int64_t c : order) std::cout << fmt::format(" {} {}", labels.at(c), percent(p[c]));
      std::cout << fmt::format(" ({} of the dense operations)\n",
                               percent(prediction.macs_fraction));
      return;
    }
    json probabilities = json::object();
    for (const int64_t c : order) probabilities[labels.at(c)] = p[c];
    json object = {{"input", file},
                   {"label", labels.at(order.front())},
                   {"probabilities", probabilities},
                   {"macs", prediction.macs},
                   {"macs_fraction", prediction.macs_fraction}};
    if (logits_) {
      const float* logits = prediction.logits.const_data_ptr<float>();
      object["logits"] = std::vector<float>(logits, logits + prediction.logits.numel());
    }
    std::cout << dump(object) << "\n";
  }

  std::vector<std::string> files_;
  std::string model_;
  at::ScalarType type_ = at::kFloat;
  BudgetOptions budget_;
  ThreadOptions threads_;
  int64_t top_ = 0;
  bool json_ = false, logits_ = false;
};

}  // namespace

std::unique_ptr<Command> make_predict() { return std::make_unique<Predict>(); }

}  // namespace pace::cli
