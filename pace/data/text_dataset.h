#pragma once

#include <filesystem>

#include "pace/data/dataset.h"

namespace pace {

/// Texts of a table with a header line: the column `label`, and one or two others (`id`, `idx` and
/// `index` left aside). Classes are the different labels, in order of their numbers when all are
/// numbers, otherwise of their names. Fields of a TSV are taken as they are; a field of a CSV may
/// stand in double quotes, doubled within, and then hold commas and line ends. Throws Error naming
/// the line for one that is empty, has another number of fields, no text or no label, or is no
/// UTF-8; and for a file without texts, or with fewer than two classes.
std::shared_ptr<const Dataset> open_tsv(const std::filesystem::path& path);
std::shared_ptr<const Dataset> open_csv(const std::filesystem::path& path);

/// Documents without classes: a file of plain text is one; of a JSONL file each line is one, an
/// object with the field `text`. Throws Error naming the line for bytes that are no UTF-8, for a
/// line that is no such object, and for a file without text.
std::shared_ptr<const Dataset> open_text(const std::filesystem::path& path);
std::shared_ptr<const Dataset> open_jsonl(const std::filesystem::path& path);

}  // namespace pace
