#include <ostream>

#include <distill/commands/inspect.h>
#include <distill/core/json_writer.h>
#include <distill/core/table.h>

namespace distill::commands {

namespace {

void print_json(const Inspection& inspection, std::ostream& out) {
  core::JsonWriter json;
  json.begin_object().member("kind", inspection.kind).key("facts").begin_object();
  for (const auto& [name, value] : inspection.facts) json.member(name, value);
  json.end_object().key("problems").begin_array();
  for (const auto& problem : inspection.problems) json.value(problem);
  out << json.end_array().end_object().text() << '\n';
}

void print_table(const Inspection& inspection, std::ostream& out) {
  core::Table table(core::Table::Align::kLeft);
  for (const auto& [name, value] : inspection.facts) table.add({name, value});
  out << inspection.kind << '\n' << table.text("  ");
}

}  // namespace

int print_inspection(const Inspection& inspection, bool json, std::ostream& out) {
  json ? print_json(inspection, out) : print_table(inspection, out);
  return inspection.problems.empty() ? 0 : 2;
}

}  // namespace distill::commands
