#pragma once

#include <ATen/ATen.h>

#include <random>
#include <utility>

#include "pace/data/image_processor.h"
#include "pace/io/audio.h"

namespace pace {

/// Random changes to a training picture or sound and to a batch, with the usual defaults off.
struct Augmentation {
  int64_t crop_padding =
      0;  ///< random crop after padding each side by this many (mean-coloured) pixels
  double scale_min = 1.0;  ///< random resized crop: least share of the area (1 = off)
  bool flip = false;       ///< horizontal, with probability 1/2
  double shift = 0.0;      ///< of a sound in time, by up to so many seconds either way
  double speed = 0.0;      ///< of a sound: played faster or slower by up to this share
  double mixup = 0.0;      ///< alpha of the Beta distribution (Zhang et al. 2018), 0 = off
  double cutmix = 0.0;  ///< alpha (Yun et al. 2019); with both on, one of them per batch at random
  double smoothing = 0.0;  ///< label smoothing in [0, 1)
};

/// Throws Error naming the first value that is out of its range.
void check(const Augmentation& augment);

/// A random part of the picture, of an area in [scale_min, 1] of the whole and a shape between 3:4
/// and 4:3, stretched to the processor's size.
Image random_resized_crop(const Image& image, const ImageProcessor& processor, double scale_min,
                          std::mt19937_64& random);

/// A fitted picture after padding, random cropping and flipping, as `augment` says.
Image shift_and_flip(const Image& fitted, const ImageProcessor& processor,
                     const Augmentation& augment, std::mt19937_64& random);

/// One-hot float [batch, classes], with `smoothing` spread evenly over all classes.
at::Tensor smooth_targets(const at::Tensor& labels, int64_t classes, double smoothing);

/// The sound played at a speed in [1 - most, 1 + most] (Ko et al. 2015): its rate is changed, in
/// steps of 100 Hz, as if another voice spoke.
Audio change_speed(const Audio& audio, double most, std::mt19937_64& random);

/// The sound moved by up to `most` samples either way, with silence where nothing was.
at::Tensor shift(const at::Tensor& samples, int64_t most, std::mt19937_64& random);

/// Mixes each picture or, by mixup, waveform and its targets with another's of the batch by mixup
/// or cutmix, with one proportion for the batch. Returns the new {pixels, targets}, or the given
/// ones when both are off.
std::pair<at::Tensor, at::Tensor> mix(const at::Tensor& pixels, const at::Tensor& targets,
                                      const Augmentation& augment, std::mt19937_64& random);

}  // namespace pace
