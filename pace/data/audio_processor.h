#pragma once

#include <ATen/ATen.h>

#include "pace/io/audio.h"
#include "pace/io/json.h"

namespace pace {

/// What a model looks at of a sound.
enum class AudioFeature { kMfcc, kLogMel, kWaveform };

/// Sound to features as `preprocessor_config.json` says: cut or zero-padded to a length, windowed
/// spectra, mel filters, logarithm, and for MFCC a cosine transform; or the waveform itself, as
/// long as it is. May be used from several threads.
class AudioProcessor {
 public:
  /// Fields of features: feature_type ("mfcc" or "log_mel"), sampling_rate, num_samples,
  /// frame_length, frame_step, fft_size, spectrum ("magnitude" or "power"), num_mel_bins,
  /// mel_lower_hz, mel_upper_hz, log_floor, and num_mfcc. Others that change the result must have
  /// the only value that is supported.
  /// Fields of waveforms, without a feature_type, as transformers' Wav2Vec2FeatureExtractor has
  /// them: feature_extractor_type, feature_size (1), sampling_rate, and do_normalize, whether a
  /// sound gets mean 0 and variance 1.
  /// Throws Error naming the field for what is missing or not supported.
  /// Waveforms of fewer samples than `least` are refused when they are fitted.
  explicit AudioProcessor(const json& config, int64_t least = 1);

  AudioFeature feature() const { return feature_; }
  int64_t rate() const { return rate_; }  ///< samples per second that the model wants
  /// Of an example; of waveforms, which keep their lengths, 0.
  int64_t samples() const { return samples_; }
  /// Of the shortest sound that can be answered.
  int64_t shortest() const { return feature_ == AudioFeature::kWaveform ? least_ : frame_; }
  /// What an example is made into; not for waveforms.
  int64_t frames() const { return 1 + (samples_ - frame_) / step_; }
  int64_t features() const { return feature_ == AudioFeature::kMfcc ? mfcc_ : mels_; }

  /// Resampled, and cut or padded with zeros at the end: float [samples()]. Throws Error for a
  /// sound shorter than one frame, or of too few samples. Waveforms are only resampled: float
  /// [samples].
  at::Tensor fit(const Audio& audio) const;
  /// waveforms float [..., samples()] -> float [..., frames(), features()]; what is wanted as a
  /// waveform is one at a time, [samples], and keeps its shape.
  at::Tensor operator()(const at::Tensor& waveforms) const;

  const json& config() const { return config_; }

 private:
  void read_features(const json& config);
  void read_waveform(const json& config);
  at::Tensor mel_filters() const;
  at::Tensor cosines() const;

  json config_;
  AudioFeature feature_ = AudioFeature::kMfcc;
  int64_t rate_ = 0, samples_ = 0, frame_ = 0, step_ = 0, fft_ = 0, mels_ = 0, mfcc_ = 0;
  double lower_ = 0.0, upper_ = 0.0, floor_ = 0.0;
  bool power_ = false;
  bool normalize_ = false;  ///< waveforms
  int64_t least_ = 1;       ///< samples of a waveform
  at::Tensor window_, filters_, cosines_;
};

}  // namespace pace
