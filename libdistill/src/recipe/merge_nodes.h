#pragma once

#include "recipe/node.h"

namespace distill::recipe::detail {

/// A copy whose places say that all stages share it.
Node shared(Node node);

/// Whether both name a `kind`, and not the same: the options of the one mean nothing to the other.
bool names_other_kind(const Node& base, const Node& over);

/// `over` laid upon `base`: mappings are merged key by key, all else is replaced. A mapping that
/// names another `kind` replaces the whole.
Node merged(const Node& base, const Node& over);

/// Short forms of `gates.N.with`, `{train.steps: 200}` and a list of such, as the list of
/// overrides that is read.
void spell_out_gates(Node& recipe);

}  // namespace distill::recipe::detail
