#include <iostream>
#include <memory>

#include <distill/core/json_writer.h>
#include <distill/pipeline/report_html.h>

#include "commands.h"

namespace distill::cli {

void add_report(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("report", "Make the page that shows a run, report.html, again");
  auto options = std::make_shared<pipeline::ReportHtmlOptions>();
  auto json = std::make_shared<bool>(false);
  app->add_option("run", options->run, "Run folder")->required();
  app->add_option("--out", options->out,
                  "File to write; report.html in the run folder if not given");
  app->add_flag("--json", *json, "Write one JSON object");
  app->callback([&action, options, json] {
    action = [options, json](core::Logger&) {
      const std::string file = pipeline::write_report_html(*options).string();
      if (*json) {
        std::cout << core::JsonWriter().begin_object().member("file", file).end_object().text();
      } else {
        std::cout << file;
      }
      std::cout << '\n';
      return 0;
    };
  });
}

}  // namespace distill::cli
