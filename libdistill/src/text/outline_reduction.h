#pragma once

#include "text/template_outline.h"

namespace distill::text::detail {

/// The outline without the branches that are never taken here: no tools are given, messages have a
/// role (system, user, assistant) and a text and nothing else. Statements that then have no effect
/// are left out, and outputs that became neighbours are joined.
TemplateOutline reduce_outline(TemplateOutline outline);

}  // namespace distill::text::detail
