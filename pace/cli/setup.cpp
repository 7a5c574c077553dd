#include "pace/cli/setup.h"

#include <algorithm>
#include <map>
#include <set>

#include "pace/base/error.h"
#include "pace/cli/command.h"
#include "pace/data/audio_loader.h"
#include "pace/data/packed_text.h"
#include "pace/data/picture_loader.h"
#include "pace/data/text_loader.h"
#include "pace/models/generate.h"
#include "pace/models/wav2vec2.h"
#include "pace/train/trainer.h"

namespace pace::cli {
namespace {

constexpr int64_t kMostHeldOut = 1000;  // by default

std::shared_ptr<const Dataset> limited(std::shared_ptr<const Dataset> dataset, int64_t limit,
                                       uint64_t seed) {
  if (limit == 0 || limit >= dataset->size()) return dataset;
  return split(dataset, limit, seed).second;
}

/// A dataset whose labels are numbered as a model numbers them.
class Relabelled : public Dataset {
 public:
  Relabelled(std::shared_ptr<const Dataset> dataset, std::vector<int64_t> label_of_class,
             std::vector<std::string> labels)
      : dataset_(std::move(dataset)),
        label_of_class_(std::move(label_of_class)),
        labels_(std::move(labels)) {}

  int64_t size() const override { return dataset_->size(); }
  Image image(int64_t index) const override { return dataset_->image(index); }
  Audio audio(int64_t index) const override { return dataset_->audio(index); }
  Text text(int64_t index) const override { return dataset_->text(index); }
  int64_t label(int64_t index) const override {
    return label_of_class_.at(static_cast<size_t>(dataset_->label(index)));
  }
  std::string name(int64_t index) const override { return dataset_->name(index); }
  const std::vector<std::string>& classes() const override { return labels_; }

 private:
  std::shared_ptr<const Dataset> dataset_;
  std::vector<int64_t> label_of_class_;
  std::vector<std::string> labels_;
};

/// The label of each class; the name of a class without one goes to `foreign`.
std::vector<int64_t> match(const std::vector<std::string>& classes,
                           const std::vector<std::string>& labels,
                           std::vector<std::string>& foreign) {
  std::map<std::string, int64_t> label_of;
  for (const std::string& label : labels) label_of.emplace(label, label_of.size());
  std::vector<int64_t> matched;
  for (const std::string& name : classes) {
    const auto found = label_of.find(name);
    if (found == label_of.end()) {
      foreign.push_back(name);
    } else {
      matched.push_back(found->second);
    }
  }
  return matched;
}

/// Options that change where, how fast or how safely a run goes, but not what comes out of it.
json without_free_options(json options) {
  for (const char* name :
       {"out", "resume", "force", "threads", "loader-threads", "checkpoint-seconds", "json"}) {
    options.erase(name);
  }
  return options;
}

/// Throws UsageError for random changes that the model's inputs cannot have.
void refuse_changes(const LoadedModel& model, const Augmentation& augment) {
  const Modality modality = model.modality();
  const bool of_pictures =
      augment.flip || augment.crop_padding > 0 || augment.scale_min < 1.0 || augment.cutmix > 0.0;
  if (of_pictures && modality != Modality::kPicture) {
    throw UsageError("--flip, --crop-padding, --scale-min and --cutmix are for pictures");
  }
  if ((augment.shift > 0.0 || augment.speed > 0.0) && modality != Modality::kSound) {
    throw UsageError("--shift and --speed are for sounds");
  }
  if (model.transcribes() && (augment.mixup > 0.0 || augment.smoothing > 0.0)) {
    throw UsageError("--mixup and --smoothing are for models that tell classes apart");
  }
}

const json& preprocessor_of(const LoadedModel& model, const std::string& folder) {
  if (model.preprocessor) return *model.preprocessor;
  fail("'{}' has no preprocessor_config.json, which says how {} are prepared", folder,
       model.modality() == Modality::kSound ? "sounds" : "pictures");
}

}  // namespace

std::shared_ptr<const Dataset> examples_for(const LoadedModel& model, const std::string& folder,
                                            std::shared_ptr<const Dataset> dataset,
                                            const DataOptions& options) {
  const json& config = model.model->config();
  const bool language_model = model.language_model();
  if (!language_model && (options.sequence || options.stride)) {
    throw UsageError("--sequence and --stride are for language models");
  }
  if (!language_model || !dataset->classes().empty()) return dataset;
  const auto [context, known] = text_limits(config);
  const int64_t length = options.sequence ? options.sequence : std::min(kSequence, context);
  if (length > context) {
    fail("--sequence {}: the model of '{}' takes {} tokens at most", length, folder, context);
  }
  Packing packing{length, options.stride ? options.stride : length};
  const std::vector<int64_t> ends = token_ids(config, "eos_token_id");
  if (!ends.empty()) packing.separator = ends.front();
  if (packing.separator >= known) {
    fail("'{}': eos_token_id is {}, but the tokens are 0..{}", folder, *packing.separator,
         known - 1);
  }
  return pack(std::move(dataset), *tokenizer_of(model, folder), packing);
}

TrainingData divide(std::shared_ptr<const Dataset> dataset, int64_t limit, HeldOut held_out,
                    uint64_t seed) {
  const int64_t count = held_out.count >= 0
                            ? held_out.count
                            : std::min(kMostHeldOut, dataset->size() / held_out.part);
  if (count == 0) return {limited(dataset, limit, seed), nullptr};
  auto [rest, held] = split(dataset, count, seed);
  return {limited(rest, limit, seed), held};
}

std::shared_ptr<const Dataset> open_data_for(const LoadedModel& model, const std::string& folder,
                                             const DataOptions& options, Reporter& reporter) {
  const auto dataset = examples_for(model, folder, open_dataset(options.data), options);
  return labelled_for(model, limited(dataset, options.limit, 0), options, reporter);
}

std::shared_ptr<const Dataset> labelled_for(const LoadedModel& model,
                                            std::shared_ptr<const Dataset> dataset,
                                            const DataOptions& options, Reporter& reporter) {
  const std::vector<std::string> labels = model.model->labels();
  const std::vector<std::string>& classes = dataset->classes();
  if (classes == labels) return dataset;
  if (labels.empty()) {
    fail("'{}' has classes, but the model is a {}", options.data,
         model.reads_text() ? "language model; give text:FILE or jsonl:FILE"
                            : "speech recogniser; give speech:PATH");
  }
  if (classes.empty()) {
    fail("'{}' has no classes, but the model tells {} apart", options.data, labels.size());
  }
  std::vector<std::string> foreign;
  std::vector<int64_t> matched = match(classes, labels, foreign);
  if (foreign.empty()) return std::make_shared<Relabelled>(dataset, std::move(matched), labels);
  if (classes.size() == labels.size()) {
    reporter.warn(
        fmt::format("'{}' has classes the model does not name, '{}' for one; they are taken to be "
                    "in the order of the model's labels",
                    options.data, foreign.front()));
    return dataset;
  }
  fail("'{}' has the class '{}', which is none of the model's {} labels ('{}', ...)", options.data,
       foreign.front(), labels.size(), labels.front());
}

LoadedModel load_dense(const std::string& folder, const std::string& purpose) {
  LoadedModel model = load_model(fs::path(folder));
  if (model.adaptive()) fail("'{}' is an adaptive model; {}", folder, purpose);
  return model;
}

int64_t channels_of(const json& config) {
  return integer_field(config, "num_channels", "config.json", 3);
}

ImageProcessor image_processor_of(const LoadedModel& model, const std::string& folder) {
  return ImageProcessor(preprocessor_of(model, folder), channels_of(model.model->config()));
}

AudioProcessor audio_processor_of(const LoadedModel& model, const std::string& folder) {
  const json& config = model.model->config();
  const int64_t least =
      model.transcribes() ? Wav2Vec2Config::from_json(config, "config.json").least_samples() : 1;
  return AudioProcessor(preprocessor_of(model, folder), least);
}

std::shared_ptr<const Tokenizer> tokenizer_of(const LoadedModel& model, const std::string& folder) {
  auto tokenizer = std::make_shared<const Tokenizer>(Tokenizer::open(folder));
  const int64_t known = text_limits(model.model->config()).vocabulary;
  if (tokenizer->vocabulary_size() > known) {
    fail("the tokeniser of '{}' has {} tokens, but its model knows {}; they do not belong together",
         folder, tokenizer->vocabulary_size(), known);
  }
  return tokenizer;
}

std::shared_ptr<const CtcVocabulary> ctc_vocabulary_of(const LoadedModel& model,
                                                       const std::string& folder) {
  if (!model.transcribes()) return nullptr;
  const int64_t size = integer_field(model.model->config(), "vocab_size", "config.json");
  return std::make_shared<const CtcVocabulary>(CtcVocabulary::open(folder, size));
}

std::unique_ptr<Loader> make_loader(const LoadedModel& model, const std::string& folder,
                                    std::shared_ptr<const Dataset> dataset,
                                    const LoaderOptions& options, Reporter& reporter) {
  refuse_changes(model, options.augment);
  switch (model.modality()) {
    case Modality::kText:
      return std::make_unique<TextLoader>(std::move(dataset), tokenizer_of(model, folder),
                                          text_limits(model.model->config()).tokens, options);
    case Modality::kSound:
      return std::make_unique<AudioLoader>(std::move(dataset), audio_processor_of(model, folder),
                                           options, ctc_vocabulary_of(model, folder), reporter);
    case Modality::kPicture:
      break;
  }
  return std::make_unique<PictureLoader>(std::move(dataset), image_processor_of(model, folder),
                                         options, reporter);
}

std::vector<int64_t> input_shape(const LoadedModel& model, const std::string& folder) {
  if (model.modality() == Modality::kSound) {
    const AudioProcessor processor = audio_processor_of(model, folder);
    if (processor.samples() == 0) return {1, kHeardSeconds * processor.rate()};
    return {1, processor.frames(), processor.features()};
  }
  const ImageProcessor processor = image_processor_of(model, folder);
  return {1, processor.channels(), processor.height(), processor.width()};
}

std::string folder_name(const std::string& folder) {
  const fs::path path = fs::path(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

json read_json(const std::string& path) { return parse_json(read_text(path), path); }

TrainingRun::TrainingRun(const RunOptions& options, const std::string& command, const CLI::App& app)
    : folder_(options.out, options.force ? Overwrite::kForce : Overwrite::kRefuse,
              options.resume ? Start::kResume : Start::kFresh),
      record_{{"command", command}, {"version", kVersion}, {"options", options_json(app)}} {
  const fs::path path = folder_.path() / kRecord;
  if (options.resume && fs::exists(path)) {
    check_same_options(read_json(path.string()));
  } else {
    write_text(path, dump(record_, 2) + "\n");
  }
}

TrainingRun::~TrainingRun() {
  std::error_code ignored;  // what cannot be removed stays; there is nobody to tell
  if (!committed_ && !fs::exists(folder_.path() / Trainer::kCheckpoint, ignored)) {
    fs::remove_all(folder_.path(), ignored);
  }
}

void TrainingRun::check_same_options(const json& begun) const {
  const json before = without_free_options(begun.value("options", json::object()));
  const json now = without_free_options(record_.at("options"));
  for (const auto& [name, value] : now.items()) {
    const json old = before.value(name, json());
    if (old == value) continue;
    fail(
        "the unfinished run in '{}' began with --{} {}, not {}; resume it with the options it "
        "began with, or start over with --force",
        folder_.path().string(), name, dump(old), dump(value));
  }
}

void TrainingRun::commit(const json& results) {
  record_["results"] = results;
  write_text(folder_.path() / kRecord, dump(record_, 2) + "\n");
  const std::vector<std::string> scratch{Trainer::kCheckpoint};
  committed_ = true;
  folder_.commit(scratch);
}

FinetuneOptions with_run(FinetuneOptions options, double head_rate, const RunOptions& run) {
  if (head_rate > 0) options.head_rate = head_rate;
  options.clip_norm = run.clip;
  options.checkpoint_seconds = run.checkpoint_seconds;
  options.accumulate = run.accumulate;
  options.bf16 = run.bf16;
  options.seed = run.seed;
  return options;
}

LoaderOptions training_loader(const DataOptions& data, const RunOptions& run, int64_t examples) {
  LoaderOptions options = data.loader(run.seed);
  options.shuffle = true;
  options.drop_last = examples >= data.batch;
  options.augment = run.augment;
  return options;
}

}  // namespace pace::cli
