#!/usr/bin/env bash
# Fine-tunes MiniLM on snippets of movie reviews, gives it exits and measures it: tools/demo_text.sh PACE [LIMIT [OUT]]
#   LIMIT   train and measure on that many snippets only (0: on all)
set -euo pipefail
pace=$(realpath "${1:?usage: tools/demo_text.sh PACE [LIMIT [OUT]]}")
limit=${2:-0}
cd "$(dirname "$0")/.."

recipe=recipes/movie-reviews
reviews=.venv/movie-reviews
out=${3:-out/demo-text}
mkdir -p "$out"

echo "Fine-tuning MiniLM"
"$pace" train --config $recipe/train.toml --model $reviews/minilm --data tsv:$reviews/train.tsv --limit "$limit" \
  --out "$out/minilm" --force

echo
echo "Adding exits"
"$pace" adapt --config $recipe/adapt.toml --model "$out/minilm" --data tsv:$reviews/train.tsv --limit "$limit" \
  --out "$out/minilm-exits" --force

echo
echo "On the snippets kept for testing"
"$pace" eval --model "$out/minilm-exits" --dense "$out/minilm" --data tsv:$reviews/test.tsv --limit "$limit" --batch 32 \
  --budgets 1,0.8,0.7,0.6,0.5,0.4,0.3 --report "$out/report.html" --results "$out/results.json" --force

echo
"$pace" predict --model "$out/minilm-exits" --budget 0.7 'a gripping story, beautifully told' \
  'It is not without charm, but for every good idea there are three that should have stayed on paper.'

echo
echo "Report: $out/report.html   Results: $out/results.json   Model: $out/minilm-exits"
