#include <distill/losses/builtins.h>

#include <gtest/gtest.h>

#include <distill/losses/forward_kl.h>

#include "support/temp_folder.h"

namespace distill::losses {
namespace {

TEST(BuiltinLosses, AreBuiltByName) {
  LossRegistry registry;
  add_builtin_losses(registry);
  EXPECT_EQ(registry.kinds(),
            (std::vector<std::string>{"adaptive_kl", "alm", "attention_kl", "cross_entropy",
                                      "forward_kl", "hidden_cosine", "hidden_mse", "jsd",
                                      "reverse_kl", "skew_forward_kl", "skew_reverse_kl",
                                      "symmetric_kl", "tvd", "uld"}));
  for (const auto& kind : registry.kinds()) {
    EXPECT_EQ(core::Component<Loss>(registry, kind).build()->name(), kind);
  }
}

TEST(BuiltinLosses, TakeTheirOptions) {
  LossRegistry registry;
  add_builtin_losses(registry);
  core::Component<Loss> component(registry, "forward_kl");
  component.options<ForwardKlOptions>()->temperature = 5.0;
  component.options<ForwardKlOptions>()->weight = 0.25;
  const auto term = component.build()->logit_term();
  ASSERT_TRUE(term.has_value());
  EXPECT_EQ(term->temperature, 5.0);
  EXPECT_EQ(term->weight, 0.25);
}

TEST(BuiltinLosses, DescribeTheirFields) {
  struct Names : core::FieldVisitor {
    std::vector<std::string> names;
    void field(const core::Field& field, const core::ValueRef&) override {
      names.push_back(field.name);
      EXPECT_FALSE(field.doc.empty());
    }
  } visitor;
  ForwardKlOptions options;
  describe(visitor, options);
  EXPECT_EQ(visitor.names, (std::vector<std::string>{"weight", "temperature", "scale_by_t2"}));
}

}  // namespace
}  // namespace distill::losses
