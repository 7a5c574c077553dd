#include "pace/io/safetensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <set>

#include "pace/base/error.h"
#include "pace/io/json.h"
#include "pace/io/mapped_file.h"

namespace pace {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

struct DtypeName {
  std::string_view name;
  at::ScalarType dtype;
};

/// In the order in which the `safetensors` package lays the tensors out: the widest first, so that
/// every tensor is aligned.
constexpr std::array kDtypes = {
    DtypeName{"I64", at::kLong},  DtypeName{"F64", at::kDouble},    DtypeName{"F32", at::kFloat},
    DtypeName{"I32", at::kInt},   DtypeName{"BF16", at::kBFloat16}, DtypeName{"F16", at::kHalf},
    DtypeName{"I16", at::kShort}, DtypeName{"I8", at::kChar},       DtypeName{"U8", at::kByte},
    DtypeName{"BOOL", at::kBool},
};
constexpr std::string_view kMetadata = "__metadata__";
constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeader = 100'000'000;  // the package's own limit
constexpr size_t kMaxDimensions = 64;         // LibTorch's own limit
constexpr uint64_t kMaxInt64 = std::numeric_limits<int64_t>::max();

std::string dtype_names() {
  std::string names;
  for (const DtypeName& entry : kDtypes)
    names += (names.empty() ? "" : ", ") + std::string(entry.name);
  return names;
}

uint64_t read_header_length(std::string_view bytes, uint64_t file_size, const std::string& where) {
  if (file_size < kLengthBytes || bytes.size() < kLengthBytes)
    fail("{}: {} bytes are too few for a safetensors file", where, file_size);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > kMaxHeader)
    fail("{}: the header's length is {}, over the limit of {}; is it a safetensors file?", where,
         length, kMaxHeader);
  const uint64_t room = std::min<uint64_t>(file_size, bytes.size()) - kLengthBytes;
  if (length > room)
    fail("{}: the header's length is {}, but only {} bytes follow: the file is truncated", where,
         length, room);
  return length;
}

const json& require(const json& entry, const char* field, const std::string& where) {
  const auto found = entry.find(field);
  if (found == entry.end()) fail("{}: field '{}' is missing", where, field);
  return *found;
}

at::ScalarType parse_dtype(const json& entry, const std::string& where) {
  const std::string name = string_field(entry, "dtype", where);
  for (const DtypeName& known : kDtypes)
    if (known.name == name) return known.dtype;
  fail("{}: dtype '{}' is unknown; known are {}", where, name, dtype_names());
}

std::vector<int64_t> parse_shape(const json& entry, const std::string& where) {
  const json& shape = require(entry, "shape", where);
  if (!shape.is_array()) fail("{}: shape is {}; an array is needed", where, describe(shape));
  if (shape.size() > kMaxDimensions)
    fail("{}: shape has {} dimensions; at most {} are supported", where, shape.size(),
         kMaxDimensions);
  std::vector<int64_t> dimensions;
  for (const json& dimension : shape) {
    // Negative numbers, fractions and what does not fit into 64 bits are of other types.
    if (!dimension.is_number_unsigned() || dimension.get<uint64_t>() > kMaxInt64)
      fail("{}: shape has dimension {}; an integer of 0 to 2^63-1 is needed", where,
           describe(dimension));
    dimensions.push_back(dimension.get<int64_t>());
  }
  return dimensions;
}

/// Bytes of a tensor. Dimensions of 0 count as 1 for the overflow check because strides do so too.
uint64_t size_in_bytes(const TensorInfo& tensor, const std::string& where) {
  uint64_t product = at::elementSize(tensor.dtype);
  bool empty = false;
  for (int64_t dimension : tensor.shape) {
    empty |= dimension == 0;
    if (__builtin_mul_overflow(product, std::max<uint64_t>(dimension, 1), &product) ||
        product > kMaxInt64)
      fail("{}: shape [{}] has more than 2^63-1 bytes", where, fmt::join(tensor.shape, ", "));
  }
  return empty ? 0 : product;
}

void parse_offsets(TensorInfo& tensor, const json& entry, uint64_t data_size,
                   const std::string& where) {
  const json& offsets = require(entry, "data_offsets", where);
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned())
    fail("{}: data_offsets must be two non-negative integers", where);
  tensor.begin = offsets[0].get<uint64_t>();
  tensor.end = offsets[1].get<uint64_t>();
  if (tensor.begin > tensor.end)
    fail("{}: data_offsets [{}, {}] are reversed", where, tensor.begin, tensor.end);
  if (tensor.end > data_size)
    fail(
        "{}: data_offsets [{}, {}] reach beyond the file's {} bytes of data: the file is truncated",
        where, tensor.begin, tensor.end, data_size);
  const uint64_t needed = size_in_bytes(tensor, where);
  if (tensor.end - tensor.begin != needed)
    fail("{}: data_offsets [{}, {}] span {} bytes, but shape [{}] of {} takes {}", where,
         tensor.begin, tensor.end, tensor.end - tensor.begin, fmt::join(tensor.shape, ", "),
         at::toString(tensor.dtype), needed);
}

TensorInfo parse_tensor(const std::string& name, const json& entry, uint64_t data_size,
                        const std::string& where) {
  const std::string place = fmt::format("{}: tensor '{}'", where, name);
  if (!entry.is_object()) fail("{} is {}; an object is needed", place, describe(entry));
  TensorInfo tensor{
      .name = name, .dtype = parse_dtype(entry, place), .shape = parse_shape(entry, place)};
  parse_offsets(tensor, entry, data_size, place);
  return tensor;
}

std::map<std::string, std::string> parse_metadata(const json& entry, const std::string& where) {
  if (!entry.is_object())
    fail("{}: {} is {}; an object is needed", where, kMetadata, describe(entry));
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : entry.items()) {
    if (!value.is_string())
      fail("{}: {} has '{}' = {}; a string is needed", where, kMetadata, key, describe(value));
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

/// The data must be covered from end to end by the tensors, each byte once.
void check_cover(const std::vector<TensorInfo>& tensors, uint64_t data_size,
                 const std::string& where) {
  uint64_t reached = 0;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.begin < reached)
      fail("{}: tensor '{}' begins at {}, inside the one before it that ends at {}", where,
           tensor.name, tensor.begin, reached);
    if (tensor.begin > reached)
      fail("{}: a hole in the data from {} to tensor '{}' at {}", where, reached, tensor.name,
           tensor.begin);
    reached = tensor.end;
  }
  if (reached != data_size)
    fail("{}: the tensors end at byte {} of the data, but the file has {}", where, reached,
         data_size);
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view bytes, uint64_t file_size,
                                           const std::string& where) {
  const uint64_t length = read_header_length(bytes, file_size, where);
  const std::string_view text = bytes.substr(kLengthBytes, length);
  if (!text.starts_with('{'))
    fail("{}: the header does not begin with '{{'; is it a safetensors file?", where);
  const json root = parse_json(text, fmt::format("header of {}", where));
  SafetensorsHeader header;
  header.data_offset = kLengthBytes + length;
  const uint64_t data_size = file_size - header.data_offset;
  for (const auto& [name, entry] : root.items()) {
    if (name == kMetadata)
      header.metadata = parse_metadata(entry, where);
    else
      header.tensors.push_back(parse_tensor(name, entry, data_size, where));
  }
  std::stable_sort(header.tensors.begin(), header.tensors.end(),
                   [](const TensorInfo& a, const TensorInfo& b) {
                     return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
                   });
  check_cover(header.tensors, data_size, where);
  return header;
}

SafetensorsFile::SafetensorsFile(const fs::path& path)
    : path_(path), map_(std::make_shared<const MappedFile>(path)) {
  const std::string_view bytes = map_->bytes();
  header_ = parse_safetensors_header(bytes, bytes.size(), fmt::format("'{}'", path.string()));
  for (size_t i = 0; i < header_.tensors.size(); ++i) index_[header_.tensors[i].name] = i;
}

bool SafetensorsFile::contains(const std::string& name) const { return index_.contains(name); }

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) fail("'{}' has no tensor '{}'", path_.string(), name);
  const TensorInfo& info = header_.tensors[found->second];
  const auto options = at::TensorOptions().dtype(info.dtype);
  const size_t size = info.end - info.begin;
  if (size == 0) return at::empty(info.shape, options);
  const char* data = map_->bytes().data() + header_.data_offset + info.begin;
  // Any other byte in a C++ bool is undefined behaviour.
  if (info.dtype == at::kBool && std::any_of(data, data + size, [](char b) { return b & ~1; }))
    fail("'{}': tensor '{}' of BOOL has a byte that is neither 0 nor 1", path_.string(), name);
  if (reinterpret_cast<uintptr_t>(data) % at::elementSize(info.dtype) != 0) {
    at::Tensor copy = at::empty(info.shape, options);
    std::memcpy(copy.data_ptr(), data, size);
    return copy;
  }
  return at::from_blob(
      const_cast<char*>(data), info.shape, [map = map_](void*) {}, options);
}

namespace {

/// The place of a dtype in kDtypes.
size_t rank_of(const std::string& name, const at::Tensor& tensor, const fs::path& target) {
  if (!tensor.defined() || tensor.layout() != at::kStrided)
    fail("cannot write '{}': tensor '{}' is undefined or not dense", target.string(), name);
  for (size_t i = 0; i < kDtypes.size(); ++i)
    if (kDtypes[i].dtype == tensor.scalar_type()) return i;
  fail("cannot write '{}': tensor '{}' is of {}; supported are {}", target.string(), name,
       at::toString(tensor.scalar_type()), dtype_names());
}

struct Entry {
  const std::string* name;
  const at::Tensor* tensor;
  size_t rank;
};

std::vector<Entry> lay_out(const fs::path& target, const NamedTensors& tensors) {
  std::set<std::string> names = {std::string(kMetadata)};
  std::vector<Entry> entries;
  for (const auto& [name, tensor] : tensors) {
    if (!names.insert(name).second)
      fail("cannot write '{}': tensor name '{}' is {}", target.string(), name,
           name == kMetadata ? "reserved" : "given twice");
    entries.push_back({&name, &tensor, rank_of(name, tensor, target)});
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.rank != b.rank ? a.rank < b.rank : *a.name < *b.name;
  });
  return entries;
}

std::string header_text(const fs::path& target, const std::vector<Entry>& entries,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[std::string(kMetadata)] = metadata;
  uint64_t begin = 0;
  for (const Entry& entry : entries) {
    const uint64_t end = begin + entry.tensor->nbytes();
    nlohmann::ordered_json fields;
    fields["dtype"] = kDtypes[entry.rank].name;
    fields["shape"] = entry.tensor->sizes().vec();
    fields["data_offsets"] = {begin, end};
    // push_back, unlike [], does not search the earlier names.
    header.get_ref<nlohmann::ordered_json::object_t&>().push_back({*entry.name, std::move(fields)});
    begin = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const json::exception&) {
    fail("cannot write '{}': a tensor's name or the metadata is not UTF-8", target.string());
  }
  text.resize((text.size() + kLengthBytes - 1) / kLengthBytes * kLengthBytes, ' ');
  return text;
}

}  // namespace

void write_safetensors(const fs::path& target, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::vector<Entry> entries = lay_out(target, tensors);
  const std::string header = header_text(target, entries, metadata);
  const uint64_t length = header.size();
  AtomicFile file(target);
  file.write(&length, kLengthBytes);
  file.write(header);
  for (const Entry& entry : entries) {
    const at::Tensor data = entry.tensor->detach().to(at::kCPU).contiguous();
    file.write(data.data_ptr(), data.nbytes());
  }
  file.commit();
}

}  // namespace pace
