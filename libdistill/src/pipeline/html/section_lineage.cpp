#include <distill/core/strings.h>

#include "pipeline/html/look_up.h"
#include "pipeline/html/markup.h"
#include "pipeline/html/numbers.h"
#include "pipeline/html/results.h"
#include "pipeline/html/sections.h"

namespace distill::pipeline::html {

namespace {

using core::concat;

constexpr std::size_t kMostRows = 60;
constexpr std::size_t kMostRecipeBytes = 24'000;

/// A table of what the run is made from, one row for each hash.
class HashTable {
 public:
  void add(const std::string& what, const std::string& path, const std::string& hash) {
    if (path.empty() && hash.empty()) return;
    if (count_++ >= kMostRows) return;
    rows_ += concat("<tr><th scope=\"row\">", escaped(what), "</th><td class=\"path\">",
                    escaped(path), "</td><td><code>", escaped(hash, 64), "</code></td></tr>\n");
  }
  /// Files of a model, beneath its folder.
  void add_model(const std::string& what, const io::JsonValue* model) {
    const std::string folder = text_at(model, {"path"});
    for (const auto& [file, hash] : members_of(find(model, {"files"}))) {
      add(what, folder.empty() ? file : folder + "/" + file, text_at(&hash, {}));
    }
  }
  std::string text() const {
    if (rows_.empty()) return "";
    std::string more;
    if (count_ > kMostRows) {
      more = concat("<tr><td colspan=\"3\" class=\"more\">", count_ - kMostRows,
                    " more in manifest.json</td></tr>\n");
    }
    return concat(
        "<div class=\"card scroll\"><table class=\"hashes\">\n<thead><tr><th "
        "scope=\"col\">What</th><th scope=\"col\">File</th><th scope=\"col\">XXH3-128"
        "</th></tr></thead>\n<tbody>\n",
        rows_, more, "</tbody></table></div>\n");
  }

 private:
  std::string rows_;
  std::size_t count_ = 0;
};

/// Files of `inputs` or `outputs` of a stage: a list of objects, or hashes by path.
void add_files(HashTable& table, const std::string& what, const io::JsonValue* files) {
  for (const auto& [path, hash] : members_of(files)) table.add(what, path, text_at(&hash, {}));
  if (files == nullptr || !files->is_array()) return;
  for (const auto& file : std::get<io::JsonArray>(files->storage())) {
    table.add(what, text_at(&file, {"path"}), text_at(&file, {"hash"}));
  }
}

/// The measures that a stage is known by, before and after.
std::string stage_figures(const StagePage& stage) {
  std::string cells;
  const auto all = results(stage.report);
  for (const std::string_view name : {"perplexity", "kl_to_teacher", "top1_agreement"}) {
    std::string text = "&ndash;";
    for (const auto& result : all) {
      if (result.name != name || !result.set.empty() || !result.after) continue;
      text = number(*result.after, result.measure.unit);
      if (result.before) {
        text = number(*result.before, result.measure.unit) + " &rarr; <b>" + text + "</b>";
      }
    }
    cells += "<td>" + text + "</td>";
  }
  return cells;
}

std::string stage_row(const StagePage& stage) {
  const std::string name = stage.has_page
                               ? concat("<a href=\"", link("stages/" + stage.name + "/report.html"),
                                        "\">", escaped(stage.name), "</a>")
                               : escaped(stage.name);
  const auto tokens = number_at(&stage.report, {"tokens"});
  const auto seconds = number_at(&stage.report, {"seconds"});
  return concat("<tr><th scope=\"row\">", name, "</th><td>", escaped(stage.kind), "</td>",
                stage_figures(stage), "<td>", tokens ? number(*tokens) : std::string("&ndash;"),
                "</td><td>", seconds ? core::human_seconds(*seconds) : std::string("&ndash;"),
                "</td></tr>\n");
}

}  // namespace

std::string stages_section(const RunRecord& record) {
  if (record.stages.empty()) return "";
  std::string rows;
  for (const auto& stage : record.stages) rows += stage_row(stage);
  return section(
      "Stages",
      concat("<div class=\"card scroll\"><table>\n<thead><tr><th scope=\"col\">Stage</th><th "
             "scope=\"col\">Kind</th><th scope=\"col\">Perplexity</th><th scope=\"col\">KL to the "
             "teacher</th><th "
             "scope=\"col\">Top-1 agreement</th><th scope=\"col\">Tokens</th><th "
             "scope=\"col\">Time</th></tr></thead>\n<tbody>\n",
             rows, "</tbody></table></div>\n"));
}

std::string lineage_section(const RunRecord& record) {
  const io::JsonValue* manifest = &record.manifest;
  HashTable table;
  for (const auto& [name, member] : members_of(manifest)) {
    if (name == "student" || name.starts_with("teacher")) {
      table.add_model(measure(name).title, &member);
      if (name == "teacher_cache") {
        table.add("teacher's cache", text_at(&member, {"path"}), text_at(&member, {"hash"}));
      }
    }
  }
  table.add("tokenizer", text_at(manifest, {"tokenizer", "path"}),
            text_at(manifest, {"tokenizer", "fingerprint"}));
  for (const auto& [part, data] : members_of(find(manifest, {"data"}))) {
    for (const auto& [path, hash] : members_of(find(&data, {"files"}))) {
      table.add(part + " data", path, text_at(&hash, {}));
    }
    table.add(part + " rows", "all rows as they are packed", text_at(&data, {"fingerprint"}));
  }
  for (const auto& [name, stage] : named_items(find(manifest, {"stages"}), "name")) {
    table.add(name + ": recipe", text_at(stage, {"kind"}), text_at(stage, {"settings"}));
    add_files(table, name + ": input", find(stage, {"inputs"}));
    add_files(table, name + ": output", find(stage, {"outputs"}));
  }
  return section("Lineage", table.text());
}

std::string recipe_section(const RunRecord& record) {
  if (record.recipe.empty()) return "";
  return concat("<details class=\"card\"><summary>The resolved recipe</summary><pre>",
                escaped(record.recipe, kMostRecipeBytes), "</pre></details>\n");
}

std::string foot_section(const RunRecord& record) {
  std::string items;
  for (const auto& problem : record.problems) items += "<li>" + escaped(problem) + "</li>\n";
  const RunMetrics& metrics = record.metrics;
  if (metrics.bad_lines > 0) {
    items +=
        concat("<li>metrics.jsonl: ", core::with_thousands(metrics.bad_lines), " of ",
               core::with_thousands(metrics.lines), " lines could not be read, the first is line ",
               metrics.first_bad_line, "</li>\n");
  }
  return concat(items.empty() ? "" : "<ul class=\"problems\">\n" + items + "</ul>\n",
                "<footer>Made by libdistill from the files of the run folder; nothing on this page "
                "is loaded from elsewhere.</footer>\n");
}

std::string section(std::string_view title, std::string_view inside) {
  if (inside.empty()) return "";
  return concat("<section>\n<h2>", title, "</h2>\n", inside, "</section>\n");
}

}  // namespace distill::pipeline::html
