#include "pace/data/audio_processor.h"

#include <cmath>
#include <numbers>
#include <span>
#include <vector>

#include "pace/base/error.h"

namespace pace {
namespace {

constexpr const char* kWhere = "preprocessor_config.json";
constexpr double kMelBreak = 700.0, kMelQ = 1127.0;

double mel(double hertz) { return kMelQ * std::log1p(hertz / kMelBreak); }

/// What the features are made with, where a config says it at all.
void check_supported(const json& config) {
  const json only = {{"preemphasis", 0.0},
                     {"dither", 0.0},
                     {"remove_dc_offset", false},
                     {"center", false},
                     {"window_type", "hann_periodic"},
                     {"mel_break_hz", kMelBreak},
                     {"mel_q", kMelQ},
                     {"mel_triangles_linear_in", "mel"},
                     {"mel_norm", nullptr},
                     {"mel_bin0_zero", true},
                     {"log", "natural"},
                     {"log_floor_mode", "max"},
                     {"dct_type", 2},
                     {"lifter", 0},
                     {"normalize", nullptr}};
  for (const auto& [field, supported] : only.items()) {
    const auto found = config.find(field);
    if (found == config.end() || *found == supported) continue;
    fail("{}: {} is {}; only {} is supported", kWhere, field, found->dump(), supported.dump());
  }
}

int64_t positive(const json& config, const char* field) {
  const int64_t value = integer_field(config, field, kWhere);
  if (value < 1) fail("{}: {} is {}; it must be at least 1", kWhere, field, value);
  return value;
}

/// A sound [samples] with mean 0 and variance 1. The sums are of one thread, so that its bits do
/// not depend on how many there are.
at::Tensor normalized(const at::Tensor& sound) {
  constexpr double kEpsilon = 1e-7;  // of transformers
  const at::Tensor samples = sound.contiguous();
  const auto count = static_cast<double>(samples.numel());
  const std::span<const float> values(samples.const_data_ptr<float>(),
                                      static_cast<size_t>(samples.numel()));
  double sum = 0.0, squares = 0.0;
  for (const float value : values) sum += value;
  const double mean = sum / count;
  for (const float value : values) squares += (value - mean) * (value - mean);
  return ((samples.to(at::kDouble) - mean) / std::sqrt(squares / count + kEpsilon)).to(at::kFloat);
}

}  // namespace

AudioProcessor::AudioProcessor(const json& config, int64_t least) : config_(config), least_(least) {
  const bool waveform =
      !config.contains("feature_type") &&
      (config.contains("feature_extractor_type") || config.contains("feature_size"));
  if (waveform) {
    read_waveform(config);
  } else {
    read_features(config);
  }
}

void AudioProcessor::read_waveform(const json& config) {
  constexpr const char* kType = "Wav2Vec2FeatureExtractor";
  const std::string type = string_field(config, "feature_extractor_type", kWhere, kType);
  if (type != kType) {
    fail("{}: feature_extractor_type is '{}'; only {} is supported", kWhere, type, kType);
  }
  const int64_t size = integer_field(config, "feature_size", kWhere, 1);
  if (size != 1) fail("{}: feature_size is {}; a waveform has 1", kWhere, size);
  feature_ = AudioFeature::kWaveform;
  rate_ = integer_field(config, "sampling_rate", kWhere, 16000);
  if (rate_ < 1) fail("{}: sampling_rate is {}; it must be at least 1", kWhere, rate_);
  normalize_ = bool_field(config, "do_normalize", kWhere, true);
}

void AudioProcessor::read_features(const json& config) {
  check_supported(config);
  const std::string feature = string_field(config, "feature_type", kWhere);
  if (feature != "mfcc" && feature != "log_mel") {
    fail("{}: feature_type is '{}'; there are mfcc and log_mel", kWhere, feature);
  }
  feature_ = feature == "mfcc" ? AudioFeature::kMfcc : AudioFeature::kLogMel;
  rate_ = positive(config, "sampling_rate");
  samples_ = positive(config, "num_samples");
  frame_ = positive(config, "frame_length");
  step_ = positive(config, "frame_step");
  fft_ = positive(config, "fft_size");
  mels_ = positive(config, "num_mel_bins");
  if (feature_ == AudioFeature::kMfcc) mfcc_ = positive(config, "num_mfcc");
  lower_ = number_field(config, "mel_lower_hz", kWhere);
  upper_ = number_field(config, "mel_upper_hz", kWhere);
  floor_ = number_field(config, "log_floor", kWhere, 1e-12);
  const std::string spectrum = string_field(config, "spectrum", kWhere, "magnitude");
  if (spectrum != "magnitude" && spectrum != "power") {
    fail("{}: spectrum is '{}'; there are magnitude and power", kWhere, spectrum);
  }
  power_ = spectrum == "power";
  if (frame_ > samples_ || frame_ > fft_ || mfcc_ > mels_) {
    fail(
        "{}: frame_length {} must not be above num_samples {} and fft_size {}, nor num_mfcc {} "
        "above num_mel_bins {}",
        kWhere, frame_, samples_, fft_, mfcc_, mels_);
  }
  if (!(lower_ >= 0.0 && lower_ < upper_ && upper_ <= static_cast<double>(rate_) / 2)) {
    fail("{}: mel filters from {} to {} Hz; they must rise, up to half of the sampling_rate {}",
         kWhere, lower_, upper_, rate_);
  }
  window_ = at::hann_window(frame_, true, at::kDouble).to(at::kFloat);
  filters_ = mel_filters();
  if (feature_ == AudioFeature::kMfcc) cosines_ = cosines();
}

/// float [fft / 2 + 1, mels]: triangles whose corners are evenly spaced in mel, and whose sides are
/// straight there. Bin 0 belongs to none.
at::Tensor AudioProcessor::mel_filters() const {
  const double low = mel(lower_), step = (mel(upper_) - low) / static_cast<double>(mels_ + 1);
  const at::Tensor filters = at::zeros({fft_ / 2 + 1, mels_}, at::kDouble);
  auto weights = filters.accessor<double, 2>();
  for (int64_t bin = 1; bin <= fft_ / 2; ++bin) {
    const double hertz =
        static_cast<double>(bin) * static_cast<double>(rate_) / static_cast<double>(fft_);
    for (int64_t i = 0; i < mels_; ++i) {
      // In steps from the top of the triangle.
      const double away = std::abs((mel(hertz) - low) / step - static_cast<double>(i + 1));
      weights[bin][i] = std::max(0.0, 1.0 - away);
    }
  }
  return filters.to(at::kFloat);
}

/// float [mels, mfcc]: DCT-II, every coefficient with the same scale.
at::Tensor AudioProcessor::cosines() const {
  const at::Tensor matrix = at::empty({mels_, mfcc_}, at::kDouble);
  auto values = matrix.accessor<double, 2>();
  const auto mels = static_cast<double>(mels_);
  for (int64_t n = 0; n < mels_; ++n) {
    for (int64_t k = 0; k < mfcc_; ++k) {
      values[n][k] = std::sqrt(2.0 / mels) * std::cos(std::numbers::pi * static_cast<double>(k) *
                                                      static_cast<double>(2 * n + 1) / (2 * mels));
    }
  }
  return matrix.to(at::kFloat);
}

at::Tensor AudioProcessor::fit(const Audio& audio) const {
  at::Tensor samples = resampled(audio, rate_).samples;
  if (feature_ == AudioFeature::kWaveform) {
    if (samples.numel() >= least_) return samples;
    fail("a sound of {} samples at {} Hz; the model needs at least {}", samples.numel(), rate_,
         least_);
  }
  if (samples.numel() < frame_) {
    fail("a sound of {} samples at {} Hz; a frame alone is {}", samples.numel(), rate_, frame_);
  }
  const int64_t length = std::min(samples.numel(), samples_);
  return at::constant_pad_nd(samples.narrow(0, 0, length), {0, samples_ - length}, 0);
}

at::Tensor AudioProcessor::operator()(const at::Tensor& waveforms) const {
  if (feature_ == AudioFeature::kWaveform) {
    return normalize_ ? normalized(waveforms) : waveforms;
  }
  const at::Tensor frames = waveforms.unfold(-1, frame_, step_) * window_;
  at::Tensor spectrum = at::abs(at::fft_rfft(frames, fft_));
  if (power_) spectrum = spectrum.square();
  const at::Tensor mels = at::matmul(spectrum, filters_).clamp_min(floor_).log();
  return feature_ == AudioFeature::kMfcc ? at::matmul(mels, cosines_) : mels;
}

}  // namespace pace
