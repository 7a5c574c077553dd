#include "pace/cli/command.h"

int main(int argc, char** argv) { return pace::cli::run(argc, argv); }
