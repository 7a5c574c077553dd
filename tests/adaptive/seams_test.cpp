#include "pace/adaptive/seams.h"

#include <gmock/gmock.h>

#include "pace/base/error.h"

namespace pace {
namespace {

MapSpec spec_of(MapKind kind, int64_t in, int64_t hidden, int64_t out,
                std::vector<std::string> names) {
  MapSpec spec;
  spec.site = "layer.0." + std::string(to_string(kind));
  spec.kind = kind;
  spec.in = in;
  spec.hidden = hidden;
  spec.out = out;
  spec.dense_names = std::move(names);
  return spec;
}

Parameters fresh() {
  return Parameters(no_weights(), [](const std::string&) { return true; });
}

TEST(DenseMap, OfAProjectionIsALinearMap) {
  Parameters parameters = fresh();
  const auto map = dense_map(spec_of(MapKind::kQuery, 5, 0, 7, {"q"}), parameters);
  const Tensor tokens = at::randn({6, 5});
  Pass pass;
  pass.ledger.open(kernels::Sequences({2, 4}));
  const Tensor out = map->forward(tokens, pass);
  EXPECT_TRUE(out.equal(at::linear(tokens, parameters.at("q.weight"), parameters.at("q.bias"))));
  EXPECT_EQ(pass.context.macs, 2 * 3 * 5 * 7);
  EXPECT_EQ(pass.ledger.macs().sum().item<double>(), 2 * 3 * 5 * 7);
}

TEST(DenseMap, OfAProjectionMayLackABias) {
  Parameters parameters = fresh();
  MapSpec spec = spec_of(MapKind::kKey, 5, 0, 5, {"k"});
  spec.bias = false;
  const auto map = dense_map(spec, parameters);
  EXPECT_EQ(parameters.all().size(), 1u);
}

TEST(DenseMap, OfAnMlpHasItsActivationInBetween) {
  Parameters parameters = fresh();
  const auto map = dense_map(spec_of(MapKind::kMlp, 5, 11, 5, {"fc1", "fc2"}), parameters);
  const Tensor tokens = at::randn({6, 5});
  Pass pass;
  pass.ledger.open(kernels::Sequences({2, 4}));
  const Tensor hidden = at::linear(tokens, parameters.at("fc1.weight"), parameters.at("fc1.bias"));
  EXPECT_TRUE(map->forward(tokens, pass)
                  .equal(at::linear(at::gelu(hidden), parameters.at("fc2.weight"),
                                    parameters.at("fc2.bias"))));
  EXPECT_EQ(pass.context.macs, 2 * 3 * 2 * 5 * 11);
  EXPECT_EQ(pass.ledger.macs().sum().item<double>(), 2 * 3 * 2 * 5 * 11);
}

TEST(MapKindNames, AreReadAsTheyAreWritten) {
  for (const MapKind kind :
       {MapKind::kMlp, MapKind::kQuery, MapKind::kKey, MapKind::kValue, MapKind::kOutput}) {
    EXPECT_EQ(map_kind(to_string(kind), "here"), kind);
  }
  EXPECT_THAT([] { map_kind("mlps", "here"); },
              ::testing::ThrowsMessage<Error>(
                  ::testing::AllOf(::testing::HasSubstr("here"), ::testing::HasSubstr("'mlps'"),
                                   ::testing::HasSubstr("mlp, query, key, value, output"))));
}

class Doubling : public Block {
 public:
  Tensor forward(const Tensor& states, Pass&) const override { return states * 2 + 1; }
};

TEST(RunAll, RunsEveryBlockInOrder) {
  Stack stack;
  for (int i = 0; i < 3; ++i) stack.blocks.push_back(std::make_unique<Doubling>());
  stack.readout = [](const Tensor& states, Pass&) { return -states; };
  Pass pass;
  EXPECT_TRUE(RunAll().run(at::ones({1, 1}), stack, pass).equal(at::full({1, 1}, -15)));
}

}  // namespace
}  // namespace pace
