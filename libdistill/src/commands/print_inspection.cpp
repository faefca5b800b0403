#include <algorithm>
#include <ostream>

#include <distill/commands/inspect.h>
#include <distill/core/json_writer.h>
#include <distill/core/paths.h>
#include <distill/core/table.h>

namespace distill::commands {

namespace {

constexpr std::size_t kLongestLine = 100'000;

void print_json(const Inspection& inspection, std::ostream& out) {
  core::JsonWriter json;
  json.begin_object().member("kind", inspection.kind).key("facts").begin_object();
  for (const auto& [name, value] : inspection.facts) json.member(name, value);
  json.end_object().key("problems").begin_array();
  for (const auto& problem : inspection.problems) json.value(problem);
  json.end_array();
  if (!inspection.sample.empty()) {
    json.key("sample").begin_array();
    for (const auto& part : inspection.sample) {
      json.begin_object()
          .member("text", part.text)
          .member("learned", part.learned)
          .member("tokens", part.tokens)
          .end_object();
    }
    json.end_array();
  }
  out << json.end_object().text() << '\n';
}

void print_table(const Inspection& inspection, std::ostream& out) {
  core::Table table(core::Table::Align::kLeft);
  for (const auto& [name, value] : inspection.facts) table.add({name, value});
  out << inspection.kind << '\n' << table.text("  ");
}

/// Line by line; each part begins a line of its own, so that spaces at its ends can be seen.
void print_sample(const std::vector<SamplePart>& sample, bool coloured, std::ostream& out) {
  out << "sample (lines with > are learned)\n";
  for (const auto& part : sample) {
    for (std::size_t begin = 0; begin < part.text.size();) {
      const std::size_t end = std::min(part.text.find('\n', begin), part.text.size());
      const bool broken = end < part.text.size();  // the line break is shown too
      const std::string line = core::printable(part.text.substr(begin, end - begin), kLongestLine);
      const bool green = coloured && part.learned;
      out << (part.learned ? "  > " : "    ") << (green ? "\033[32m" : "") << line
          << (broken ? "\\n" : "") << (green ? "\033[0m" : "") << '\n';
      begin = end + 1;
    }
  }
}

}  // namespace

int print_inspection(const Inspection& inspection, InspectionForm form, std::ostream& out) {
  if (form == InspectionForm::kJson) {
    print_json(inspection, out);
  } else {
    print_table(inspection, out);
    if (!inspection.sample.empty()) {
      print_sample(inspection.sample, form == InspectionForm::kColoured, out);
    }
  }
  return inspection.problems.empty() ? 0 : 2;
}

}  // namespace distill::commands
