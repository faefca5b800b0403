#include "text/template_outline.h"

#include <gtest/gtest.h>

namespace distill::text::detail {
namespace {

using Items = std::vector<std::string>;

TEST(TemplateOutline, OneSpellingForOneMeaning) {
  const Items expected = {"{for m in messages}", R"(<'a\n'+m.role+'b'>)", "{endfor}"};
  EXPECT_EQ(outline_template("{%for m in messages%}{{'a\\n'+m['role']+\"b\"}}{%endfor%}"),
            expected);
  EXPECT_EQ(outline_template("{% for m in messages -%}\n  {{- 'a' + '\\n' }}{{ m.role }}b\n"
                             "{#- a comment #}{%- endfor %}\n"),
            expected);
  EXPECT_EQ(outline_template("{% for m in messages %}\na\n{{ m.role + 'b' }}{% endfor %}"),
            expected);
}

TEST(TemplateOutline, WhiteSpaceControlAsInTransformers) {
  // The line break after a statement goes, the one after an output stays; blanks before a
  // statement at the start of a line go.
  EXPECT_EQ(outline_template("{% if x %}\n  {{ 'a' }}\n  {% endif %}\n"),
            (Items{"{if x}", R"(<'  a\n'>)", "{endif}"}));
  EXPECT_EQ(outline_template("  {% if x %} a {%- endif %}"),
            (Items{"{if x}", "<' a'>", "{endif}"}));
  EXPECT_EQ(outline_template("b {% if x -%}  a{% endif %}"),
            (Items{"<'b '>", "{if x}", "<'a'>", "{endif}"}));
}

TEST(TemplateOutline, KeepsWhatChangesTheMeaning) {
  EXPECT_EQ(outline_template("{{ m.content | trim }}"), (Items{"<m.content | trim>"}));
  EXPECT_EQ(outline_template("{{ 'it\\'s }}' }}"), (Items{R"(<'it\'s }}'>)"}));
  EXPECT_EQ(outline_template("{{ f('a' + 'b') }}"), (Items{"<f ('a' + 'b')>"}));
}

TEST(TemplateOutline, RefusesWhatItCannotSpell) {
  for (const char* bad :
       {"{{ 'a", "{% if x", "{# a", "{{ }}", "{{ '\\x41' }}", "{%+ if x %}", "a\r\nb", "{{ 'a\\"}) {
    EXPECT_EQ(outline_template(bad), std::nullopt) << bad;
  }
}

TEST(TemplateOutline, QuotesComeBack) {
  const std::string text = "it's\n\ta \\ \"b\"";
  EXPECT_EQ(unquote_text(quote_text(text)), text);
  EXPECT_EQ(unquote_text("'a'+b"), std::nullopt);
  EXPECT_EQ(unquote_text("a"), std::nullopt);
}

}  // namespace
}  // namespace distill::text::detail
