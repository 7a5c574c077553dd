#include "pace/base/progress.h"

namespace pace {

Reporter& quiet() {
  static Reporter silent;
  return silent;
}

}  // namespace pace
