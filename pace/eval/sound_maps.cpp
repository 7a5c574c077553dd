#include <ATen/core/grad_mode.h>

#include "pace/base/error.h"
#include "pace/eval/maps.h"

namespace pace {
namespace {

/// Of the spectrogram that is shown, whatever the model looks at: seconds.
constexpr double kWindow = 0.025, kHop = 0.010;
constexpr double kFloor = 1e-5;  ///< 100 dB below a tone at full scale

/// Decibels of the windowed spectrum, low frequencies first: float [frequencies, times].
Tensor spectrogram(const Audio& audio) {
  const auto rate = static_cast<double>(audio.rate);
  const auto window = static_cast<int64_t>(kWindow * rate), hop = static_cast<int64_t>(kHop * rate);
  const int64_t missing = std::max<int64_t>(0, window - audio.samples.numel());
  const Tensor frames = at::constant_pad_nd(audio.samples, {0, missing}).unfold(0, window, hop) *
                        at::hann_window(window, true, at::kFloat);
  const Tensor size = at::abs(at::fft_rfft(frames)) / (static_cast<double>(window) / 4);
  return 20 * size.clamp_min(kFloor).log10().t();
}

/// Share of the work of each moment, in order: float [moments]. A class token stands in front of
/// the frames of features.
Tensor share_over_time(const Tensor& inputs, const Ledger& ledger) {
  const Tensor share = share_of_work(ledger)[0];
  return inputs.dim() == 3 ? share.slice(0, share.size(0) - inputs.size(1)) : share;
}

/// Runs the model on map.audio and notes what came of it.
void listen(const LoadedModel& model, const AudioProcessor& processor,
            const CtcVocabulary* vocabulary, double budget, SoundMap& map) {
  const Tensor inputs = processor(map.audio.samples).unsqueeze(0);
  Pass pass = model.pass_at(budget);
  const Tensor logits = model.model->forward(inputs, pass)[0];
  const std::vector<std::string> labels = model.model->labels();
  map.predicted = vocabulary ? vocabulary->decode(logits)
                             : labels.at(static_cast<size_t>(logits.argmax().item<int64_t>()));
  map.macs_fraction = (pass.ledger.macs() / model.model->dense_macs(inputs)).item<double>();
  map.share = share_over_time(inputs, pass.ledger).clone();
}

}  // namespace

std::vector<SoundMap> sound_maps(const LoadedModel& model, const AudioProcessor& processor,
                                 const CtcVocabulary* vocabulary, const Dataset& dataset,
                                 double budget, int64_t count, uint64_t seed) {
  const at::NoGradGuard no_grad;
  std::vector<SoundMap> maps;
  for (const int64_t index : sample(dataset, candidates(count), seed)) {
    SoundMap map;
    try {
      map.audio = {processor.fit(dataset.audio(index)), processor.rate()};
    } catch (const Error&) {
      continue;  // the evaluation has named it
    }
    map.name = dataset.name(index);
    map.actual = vocabulary ? vocabulary->spelled(dataset.text(index).first)
                            : dataset.classes().at(static_cast<size_t>(dataset.label(index)));
    map.spectrogram = spectrogram(map.audio);
    listen(model, processor, vocabulary, budget, map);
    maps.push_back(std::move(map));
  }
  return spread(std::move(maps), count);
}

}  // namespace pace
