#!/usr/bin/env bash
# Makes the committed Fashion-MNIST transformer adaptive and measures it on all test pictures: tools/demo.sh PACE
set -euo pipefail
pace=$(realpath "${1:?usage: tools/demo.sh PACE}")
cd "$(dirname "$0")/.."

recipe=recipes/fashion-mnist-vit
dense=$recipe/model
pictures=idx:/usr/share/datasets/fashion-mnist
out=out/demo
mkdir -p "$out"

echo "Making $dense adaptive"
"$pace" adapt --config $recipe/adapt.toml --model $dense --data $pictures/train --out $out/fashion-mnist-vit-adaptive --force

echo
echo "On the 10,000 test pictures"
"$pace" eval --model $out/fashion-mnist-vit-adaptive --dense $dense --data $pictures/t10k --budgets 1,0.75,0.5,0.25 \
  --report $out/report.html --results $out/results.json --force

echo
echo "Report: $out/report.html   Results: $out/results.json   Model: $out/fashion-mnist-vit-adaptive"
