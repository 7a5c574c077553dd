#include "pace/cli/train.h"

#include <iostream>

#include "pace/base/error.h"
#include "pace/cli/setup.h"
#include "pace/eval/evaluate.h"
#include "pace/eval/model_card.h"
#include "pace/train/finetune.h"

namespace pace::cli {
namespace {

constexpr int64_t kHeldOutPart = 20;  // 5 %

/// The config with the size of the pictures changed for this run: all of the picture, squeezed to
/// size x size.
json with_image_size(json preprocessor, int64_t size) {
  preprocessor["do_resize"] = true;
  preprocessor["size"] = {{"height", size}, {"width", size}};
  preprocessor["do_center_crop"] = false;
  preprocessor.erase("crop_size");
  preprocessor.erase("default_to_square");
  return preprocessor;
}

class Train : public Command {
 public:
  void declare(CLI::App& app) override;
  int run(Terminal& terminal) override;

 private:
  LoadedModel build(const std::vector<std::string>& labels) const;
  json preprocessor_for(const LoadedModel& loaded) const;
  /// Gives the model what its inputs are prepared with; returns the folder that says so.
  std::string prepare_inputs(LoadedModel& loaded) const;
  std::string card(const LoadedModel& loaded, const json& results) const;
  void print(const json& results) const;

  const CLI::App* app_ = nullptr;
  DataOptions data_;
  RunOptions run_;
  ThreadOptions threads_;
  FinetuneOptions training_;
  std::string model_, architecture_, preprocessor_, tokenizer_;
  double head_rate_ = 0.0;
  int64_t held_out_ = -1, image_size_ = 0, layers_ = 0;
  bool json_ = false;
};

void Train::declare(CLI::App& app) {
  app_ = &app;
  auto* model = app.add_option("--model", model_, "model folder to start from");
  auto* architecture = app.add_option("--architecture", architecture_,
                                      "config.json of a model to train from scratch");
  model->excludes(architecture);
  app.add_option("--preprocessor", preprocessor_,
                 "preprocessor_config.json, in place of that of --model");
  app.add_option("--tokenizer", tokenizer_,
                 "folder with a tokeniser's files, in place of that of --model");
  data_.declare(app, "training data");
  app.add_option("--held-out", held_out_, "examples kept from training to measure each epoch")
      ->check(at_least(0))
      ->default_str("1000, or 5 % if that is less");
  run_.declare(app);
  app.add_option("--epochs", training_.epochs, "may be a fraction")->check(above(0));
  app.add_option("--rate", training_.learning_rate, "learning rate")->check(at_least(0));
  app.add_option("--head-rate", head_rate_, "learning rate of the classifier (0: as --rate)")
      ->check(at_least(0));
  app.add_option("--weight-decay", training_.weight_decay, "of AdamW")->check(at_least(0));
  app.add_option("--warmup-steps", training_.warmup_steps, "steps to full learning rate")
      ->check(at_least(0));
  app.add_option("--image-size", image_size_,
                 "train on N x N pixels, and say so in the output's preprocessor_config.json (0: "
                 "as the model says)")
      ->check(at_least(0));
  app.add_option("--layers", layers_, "keep only the first N blocks (0: all)")->check(at_least(0));
  app.add_flag("--freeze-backbone", training_.freeze_backbone, "train only the classifier");
  threads_.declare(app);
  app.add_flag("--json", json_, "print the results as JSON");
}

LoadedModel Train::build(const std::vector<std::string>& labels) const {
  const BuildOptions options{labels, layers_, run_.seed};
  if (!architecture_.empty()) {
    return build_dense(read_json(architecture_), architecture_, nullptr, options);
  }
  const ModelFolder folder = ModelFolder::open(model_);
  if (folder.config.contains("pace")) {
    fail("'{}' is an adaptive model; train starts from a dense one", model_);
  }
  LoadedModel loaded = build_dense(folder.config, model_, &folder.weights, options);
  loaded.preprocessor = folder.preprocessor;
  return loaded;
}

json Train::preprocessor_for(const LoadedModel& loaded) const {
  json preprocessor;
  if (!preprocessor_.empty()) {
    preprocessor = read_json(preprocessor_);
  } else if (loaded.preprocessor) {
    preprocessor = *loaded.preprocessor;
  } else {
    throw UsageError(
        "nothing says how inputs are prepared: give --preprocessor FILE with the fields of a "
        "preprocessor_config.json");
  }
  return image_size_ > 0 ? with_image_size(std::move(preprocessor), image_size_) : preprocessor;
}

std::string Train::prepare_inputs(LoadedModel& loaded) const {
  std::string folder = model_;
  if (loaded.reads_text() || loaded.transcribes()) {
    if (!tokenizer_.empty()) folder = tokenizer_;
    if (folder.empty()) {
      throw UsageError("nothing says how texts become tokens: give --tokenizer FOLDER");
    }
    loaded.tokenizer = read_tokenizer(folder);
  }
  if (image_size_ > 0 && loaded.modality() != Modality::kPicture) {
    throw UsageError("--image-size is for pictures");
  }
  if (!loaded.reads_text()) {
    loaded.preprocessor = preprocessor_for(loaded);
    // Refuses a size that the model cannot take.
    loaded.model->dense_macs(at::zeros(input_shape(loaded, model_)));
  }
  return folder;
}

int Train::run(Terminal& terminal) {
  if (model_.empty() && architecture_.empty()) {
    throw UsageError("give --model FOLDER to start from, or --architecture FILE");
  }
  threads_.apply();
  const std::shared_ptr<const Dataset> dataset = open_dataset(data_.data);
  LoadedModel loaded = build(dataset->classes());
  const std::string folder = prepare_inputs(loaded);
  const TrainingData data = divide(examples_for(loaded, folder, dataset, data_), data_.limit,
                                   {held_out_, kHeldOutPart}, run_.seed);

  TrainingRun run(run_, "train", *app_);
  const std::unique_ptr<Loader> loader = make_loader(
      loaded, folder, data.training, training_loader(data_, run_, data.training->size()), terminal);
  std::unique_ptr<Loader> held_out;
  if (data.held_out) {
    held_out = make_loader(loaded, folder, data.held_out, data_.loader(run_.seed), terminal);
  }
  EpochHook hook;
  if (held_out) {
    hook = [&](int64_t) {
      const Score measured = score(loaded, *held_out, 1.0, 0.0);
      return StepFigures{{"held_out_accuracy", measured.accuracy},
                         {"held_out_bits", measured.bits}};
    };
  }
  Trainer trainer(run.path(), {kFinetunePhase}, loaded.model->parameters().all(), terminal);
  finetune(loaded, with_run(training_, head_rate_, run_), *loader, trainer, hook);

  json results = {{"out", run_.out},
                  {"training_items", data.training->size()},
                  {"held_out_items", data.held_out ? data.held_out->size() : 0},
                  {"held_out_accuracy", nullptr},
                  {"held_out_bits", nullptr},
                  {"broken", loader->broken() + (held_out ? held_out->broken() : 0)}};
  if (held_out) results.update(json(hook(0)));
  save_model(run.path(), loaded);
  write_text(run.path() / "README.md", card(loaded, results));
  run.commit(results);
  print(results);
  return 0;
}

std::string Train::card(const LoadedModel& loaded, const json& results) const {
  ModelCard card;
  card.name = folder_name(run_.out);
  if (!model_.empty()) {
    card.base_model = folder_name(model_);
    card.license = license_of(model_);
  }
  card.datasets = {data_.data};
  const json& accuracy = results["held_out_accuracy"];
  if (!accuracy.is_null()) card.accuracy = accuracy.get<double>();
  return render_model_card(card, loaded);
}

void Train::print(const json& results) const {
  if (json_) {
    std::cout << dump(results, 2) << "\n";
    return;
  }
  std::cout << fmt::format("trained on {} examples; the model is in {}\n",
                           results["training_items"].get<int64_t>(), run_.out);
  if (!results["held_out_accuracy"].is_null()) {
    std::cout << fmt::format("accuracy on {} held out: {:.2f} %, {:.3f} bits for each answer\n",
                             results["held_out_items"].get<int64_t>(),
                             results["held_out_accuracy"].get<double>() * 100,
                             results["held_out_bits"].get<double>());
  }
}

}  // namespace

std::unique_ptr<Command> make_train() { return std::make_unique<Train>(); }

}  // namespace pace::cli
