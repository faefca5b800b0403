#include <distill/pipeline/report_html.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>

#include "pipeline/html/look_up.h"
#include "pipeline/html/markup.h"
#include "pipeline/html/sections.h"

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

std::string page(const html::RunRecord& record) {
  std::string name = html::text_at(&record.report, {"name"});
  if (name.empty()) name = record.folder.filename().string();
  // Whatever a name may have smuggled in, the browser loads and runs nothing.
  std::string out = core::concat(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
      "http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n<title>",
      html::escaped(name), "</title>\n<style>", html::style(),
      "</style>\n</head>\n<body>\n<main>\n");
  for (auto* part :
       {html::head_section, html::results_section, html::stages_section, html::training_section,
        html::evaluation_section, html::kept_section, html::bias_section, html::events_section,
        html::cost_section, html::lineage_section, html::recipe_section, html::foot_section}) {
    out += part(record);
  }
  return out + "</main>\n</body>\n</html>\n";
}

}  // namespace

fs::path write_report_html(const ReportHtmlOptions& options) {
  const fs::path folder = options.run.has_filename() ? options.run : options.run.parent_path();
  const fs::path out = options.out.empty() ? folder / "report.html" : options.out;
  if (core::is_folder(out)) {
    fail<InputError>(core::shown(out), ": is a folder; name the file to write");
  }
  core::write_file_atomically(out, page(html::read_run_record(folder, options.report_json)));
  return out;
}

}  // namespace distill::pipeline
