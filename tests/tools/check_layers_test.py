"""Each rule of tools/check_layers.py is broken once, in a tree made for it."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "tools" / "check_layers.py"


def check(files: dict[str, str]) -> tuple[int, str]:
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = pathlib.Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        run = subprocess.run([sys.executable, SCRIPT, root], capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr


class CheckLayersTest(unittest.TestCase):
    def accepts(self, name: str, text: str) -> None:
        code, output = check({name: text})
        self.assertEqual(code, 0, output)

    def refuses(self, name: str, text: str, reason: str) -> None:
        code, output = check({name: text})
        self.assertEqual(code, 1, output)
        self.assertIn(reason, output)

    def test_order(self):
        self.accepts("pace/models/vit.cpp", '#include "pace/kernels/dense.h"\n#include "pace/models/vit.h"\n')
        self.refuses("pace/kernels/dense.cpp", '\n#include "pace/io/image.h"\n', "dense.cpp:2")
        self.refuses("pace/adaptive/acm.h", '#include "pace/models/model.h"\n', "adaptive stands below models")

    def test_models_know_only_the_seams(self):
        self.accepts("pace/models/vit.cpp", '#include "pace/adaptive/seams.h"\n')
        self.accepts("pace/models/factory.cpp", '#include "pace/adaptive/acm.h"\n')
        self.refuses("pace/models/vit.h", '#include "pace/adaptive/acm.h"\n', "models know only the seams")

    def test_includes_from_the_root(self):
        self.refuses("pace/io/image.cpp", '#include "image.h"\n', "from the root")
        self.refuses("pace/io/image.cpp", '#include "pace/nowhere/a.h"\n', "no such layer")
        self.refuses("pace/nowhere/a.h", "", "is no layer")

    def test_printing(self):
        self.accepts("pace/cli/main.cpp", '#include <iostream>\nvoid f() { std::cerr << 1; }\n')
        self.accepts("pace/io/a.cpp", 'void f() { snprintf(b, 1, "printf()"); }  // no std::cout here\n')
        for code in ["#include <iostream>", "std::cerr << 1;", 'printf("a");', 'std::fprintf(stderr, "a");', 'fmt::print("a");']:
            self.refuses("pace/io/a.cpp", code + "\n", "a.cpp:1")

    def test_nothing_to_check(self):
        self.refuses("README.md", "", "no sources")


if __name__ == "__main__":
    unittest.main()
