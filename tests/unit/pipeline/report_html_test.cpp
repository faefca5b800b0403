#include <distill/pipeline/report_html.h>

#include <fstream>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/strings.h>

#include "support/html_check.h"
#include "support/temp_folder.h"

namespace distill::pipeline {
namespace {

using distill::testing::HtmlCheck;
using distill::testing::message_of;
using distill::testing::TempFolder;

constexpr const char* kReport = R"({"format_version": 1, "name": "sample",
"before": {"perplexity": 8184996.0, "kl_to_teacher": 12.68, "top1_agreement": 0.004, "teacher_perplexity": 32.4,
 "tokens": 100, "student_seconds": 2.0, "teacher_seconds": 3.0,
 "sets": {"bbq": {"accuracy": 0.5, "categories": {"age": {"bias": 0.2, "bias_low": 0.1, "bias_high": 0.3}}}}},
"after": {"perplexity": 91.81, "kl_to_teacher": 1.358, "top1_agreement": 0.447, "teacher_perplexity": 32.4,
 "tokens": 100, "student_seconds": 2.0, "teacher_seconds": 3.0,
 "sets": {"bbq": {"rows": 8, "accuracy": 0.6, "intervals": {"accuracy": [0.5, 0.7]}, "categories": {"age": {"bias": -0.1, "rows": 7, "intervals": {"bias": [-0.2, 0.0]}}}}}},
"gates": [{"require": "kl_to_teacher < 2", "value": 1.358, "holds": true, "on_failure": "stop"}],
"forgetting": {"max_drop": 0.05, "within_limit": false, "drops": {"maths": 0.2, "wiki": -0.1}, "reactions": []},
"differences": {"bbq": {"after_minus_before": {"accuracy": 0.1, "intervals": {"accuracy": [0.02, 0.18]}}}},
"attempt": 2, "settings": ["train.steps=280"],
"eval_tokens": 100, "trained_parameters": 20, "steps": 280, "skipped_steps": 1, "tokens": 71426, "seconds": 162.0,
"tokens_per_second": 441.0, "peak_memory_bytes": 1825361100, "energy_joules": 7200.0, "device": "cpu",
"finished": "2026-01-31T12:34:56Z", "student": {"parameters": 70800000, "bytes": 141600000},
"teacher": {"parameters": 134500000, "bytes": 269000000}})";

constexpr const char* kManifest =
    R"({"format_version": 1, "versions": {"distill": "0.1.0", "libtorch": "2.13.0"},
"name": "sample", "seed": 17, "steps": 280,
"student": {"path": "models/Small/", "layers": [0, 5, 9], "files": {"config.json": "00aa", "model.safetensors": "11bb"}},
"teacher": {"path": "models/Large", "layers": [], "files": {"config.json": "22cc"}},
"tokenizer": {"path": "models/Small", "fingerprint": "33dd"},
"data": {"train": {"rows": 10, "tokens": 1234, "fingerprint": "44ee", "files": {"data/train.jsonl": "55ff"}}}})";

/// A run folder with the files that a test writes.
class Folder {
 public:
  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  std::string page() {
    const auto file = write_report_html({.run = folder_.path()});
    EXPECT_EQ(file, folder_ / "report.html");
    return core::read_file(file, 1 << 24);
  }
  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

 private:
  TempFolder folder_;
};

std::string step_line(std::int64_t step, double loss) {
  return core::concat("{\"step\":", step, ",\"tokens\":", 256 * step, ",\"loss\":", loss,
                      ",\"forward_kl\":", loss / 2, ",\"cross_entropy\":", loss * 2,
                      ",\"lr\":0.001,\"grad_norm\":", loss * 3, ",\"tokens_per_second\":400.5",
                      ",\"seconds\":", step * 0.5,
                      ",\"data_seconds\":0.01,\"teacher_seconds\":0.1}\n");
}

std::string sample_metrics() {
  std::string text = R"({"event":"evaluation","step":0,"perplexity":900.0,"kl_to_teacher":3.0})";
  text += "\n";
  for (int step = 1; step <= 280; ++step) text += step_line(step, 10.0 / step);
  for (const char* line :
       {R"({"event":"skipped_step","step":12,"loss":null,"grad_norm":null,"in_a_row":1})",
        R"({"event":"resume","step":100,"tokens":25600})",
        R"({"event":"gate","step":140,"name":"bias","value":0.25,"limit":0.2,"passed":0})",
        R"({"event":"evaluation_set","step":0,"set":"maths","accuracy":0.5})",
        R"({"event":"teacher_set","step":0,"set":"maths","accuracy":0.999})",
        R"({"event":"evaluation_set","step":100,"set":"maths","accuracy":0.42})",
        R"({"event":"evaluation_set","step":140,"set":"maths","accuracy":0.4})",
        R"({"event":"evaluation_set","step":140,"set":"wiki","perplexity":30.0})",
        R"({"event":"forgetting","step":100,"drop maths":0.016,"max_drop":0.05})",
        R"({"event":"forgetting","step":140,"drop maths":0.2,"max_drop":0.05})",
        R"({"event":"reaction","step":100,"number":1,"seen_at":140,"set":"maths","drop":0.2})",
        R"({"event":"evaluation","step":140,"perplexity":120.0,"kl_to_teacher":2.0})"}) {
    text += core::concat(line, "\n");
  }
  return text;
}

void expect_all(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) {
    EXPECT_NE(text.find(part), std::string::npos) << "`" << part << "` is not on the page";
  }
}

TEST(ReportHtml, ShowsTheWholeRun) {
  Folder folder;
  folder.write("report.json", kReport);
  folder.write("manifest.json", kManifest);
  folder.write("metrics.jsonl", sample_metrics());
  folder.write("recipe.yaml",
               "# resolved recipe of a run, written by distill_train\nname: sample\n");
  const std::string page = folder.page();
  const HtmlCheck check(page);
  expect_all(check.words(), {"sample",
                             "finished 2026-01-31 12:34 UTC",
                             "71,426 tokens",
                             "on cpu",
                             "Before and after",
                             "91.81",
                             "32.4",
                             "44.7 %",
                             "70.8 M",
                             "3 layers",
                             "libdistill 0.1.0",
                             "Evaluations",
                             "By category",
                             "Cost",
                             "2 Wh",
                             "Lineage",
                             "55ff",
                             "name: sample",
                             "1 skipped, not finite",
                             "resumed",
                             "bbq",
                             "50.0 %"});
  expect_all(page, {"maths, step 140: 40.0 %", "id=\"losst\"",
                    "age: before 0.2 [0.1, 0.3], after -0.1 [-0.2, 0]", "limit <b>0.2</b>"});
  EXPECT_EQ(check.words().find("resolved recipe of a run"), std::string::npos);
  // loss, lr, norm, speed, perplexity, KL, drops, accuracy of sets over time, one of categories
  EXPECT_EQ(check.count("svg"), 9);
  EXPECT_EQ(check.count("script"), 0);
  EXPECT_EQ(page.find("http:"), std::string::npos);
  EXPECT_EQ(page.find("https:"), std::string::npos);
  EXPECT_LT(page.size(), 100'000u);
}

TEST(ReportHtml, LongRunsAreLightAndASpikeStaysVisible) {
  Folder folder;
  std::string metrics;
  for (int step = 1; step <= 300'000; ++step) {
    metrics += step_line(step, step == 154'321 ? 512 : 3 + (step * 7919 % 1000) * 1e-3);
    if (step % 100 == 0)
      metrics += core::concat("{\"event\":\"skipped_step\",\"step\":", step, "}\n");
    if (step % 500 == 0) {
      metrics += core::concat("{\"event\":\"evaluation\",\"step\":", step, ",\"perplexity\":", step,
                              "}\n");
    }
    if (step % 1000 == 0) {
      metrics += core::concat("{\"event\":\"gate\",\"step\":", step, ",\"value\":1}\n");
    }
  }
  folder.write("metrics.jsonl", metrics);
  folder.write("report.json", kReport);
  folder.write("manifest.json", kManifest);
  folder.write("recipe.yaml", std::string(200'000, '#'));
  const std::string page = folder.page();
  const HtmlCheck check(page);
  EXPECT_LT(page.size(), 200'000u);
  expect_all(page, {"greatest 512.", "3,000 skipped, not finite", "240 more in metrics.jsonl"});
}

// Columns of a curve of 300,000 steps hold 1024 each: two evaluations 600 steps apart would share
// one.
TEST(ReportHtml, EvaluationsOfLongRunsAreNotAveraged) {
  Folder folder;
  std::string metrics;
  for (int i = 0; i < 40; ++i) {
    const int step = i % 2 == 0 ? 15'000 * i / 2 : 15'000 * (i / 2) + 600;
    metrics += core::concat("{\"event\":\"evaluation\",\"step\":", step,
                            ",\"perplexity\":", i % 2 == 0 ? 20 : 40, "}\n");
    metrics += core::concat("{\"event\":\"evaluation_set\",\"step\":", step,
                            ",\"set\":\"wiki\",\"perplexity\":", i % 2 == 0 ? 60 : 80, "}\n");
    metrics += core::concat("{\"event\":\"forgetting\",\"step\":", step,
                            ",\"drop wiki\":", i % 2 == 0 ? 0.25 : 0.75, ",\"max_drop\":0.5}\n");
  }
  metrics += step_line(300'000, 1);
  folder.write("metrics.jsonl", metrics);
  const std::string page = folder.page();
  const HtmlCheck check(page);
  EXPECT_EQ(check.count("circle"), 3 * 40);
  expect_all(page, {"student, step 15,000: 20<", "student, step 15,600: 40<",
                    "wiki, step 285,000: 60<", "wiki, step 285,600: 80<",
                    "wiki, step 15,000: 25.0 %<", "wiki, step 15,600: 75.0 %<"});
  EXPECT_EQ(page.find("measurements the least and the greatest"), std::string::npos);
}

TEST(ReportHtml, WhatIsNotFiniteOfLooksAndEvaluationsIsAnEvent) {
  Folder folder;
  folder.write("report.json", R"({"name":"x","forgetting":{"max_drop":0.05,"within_limit":false,)"
                              R"("drops":{"maths":0.2,"wiki":null,"code":0.3},"reactions":[]}})");
  folder.write(
      "metrics.jsonl",
      step_line(1, 3) +
          R"({"event":"forgetting","step":77,"drop wiki":null,"drop maths":0.2,"max_drop":0.05})"
          "\n"
          R"({"event":"forgetting","step":78,"drop wiki":0.01,"max_drop":0.05})"
          "\n"
          R"({"event":"reaction","step":0,"number":1,"seen_at":77,"set":"wiki","drop":null})"
          "\n"
          R"({"event":"evaluation","step":79,"perplexity":null})"
          "\n");
  const std::string page = folder.page();
  const HtmlCheck check(page);
  expect_all(
      page, {"<td>not finite (wiki)</td>", "drop wiki <b>not finite</b>", "drop maths <b>0.2</b>",
             "drop <b>not finite</b>", "perplexity <b>not finite</b>", "<td class=\"step\">77</td>",
             "<td class=\"step\">79</td>"});
  EXPECT_EQ(page.find("<td class=\"step\">78</td>"), std::string::npos) << "it is drawn";
}

TEST(ReportHtml, AStoppedRunSaysWhy) {
  Folder folder;
  folder.write(
      "stopped.json",
      R"({"name":"x","stopped":"gate `bias < 0.2` & more","finished":"2026-01-31T12:34:56Z",)"
      R"("gates":[{"require":"bias < 0.2","value":0.4,"holds":false,"on_failure":"stop"}]})");
  expect_all(folder.page(),
             {"Stopped run", "stopped 2026-01-31 12:34 UTC",
              "no model is saved: gate `bias &lt; 0.2` &amp; more", "does not hold"});
  folder.write("report.json", kReport);  // of a pipeline that was done with another recipe
  expect_all(folder.page(), {"Stopped run"});
  std::filesystem::remove(folder / "stopped.json");  // it went on, and is done
  const std::string page = folder.page();
  expect_all(page, {"Distillation run", "finished 2026-01-31"});
  EXPECT_EQ(page.find("no model is saved"), std::string::npos);
}

TEST(ReportHtml, ForeignTextIsText) {
  const std::string evil = "<script>alert('x')</script>\\\"'&<img src=x onerror=y>\\u0000\\u202e";
  Folder folder;
  folder.write("metrics.jsonl",
               "{\"step\":1,\"loss\":1,\"" + evil + "\":2,\"lr\":1,\"" + evil + "b\":3}\n" +
                   "{\"event\":\"" + evil + "\",\"" + evil + "\":\"" + evil + "\"}\n" +
                   "{\"event\":\"evaluation_set\",\"step\":1,\"set\":\"" + evil + "\",\"" + evil +
                   "\":1}\n{\"event\":\"evaluation\",\"step\":1,\"" + evil +
                   "\":1}\n{\"event\":\"evaluation\",\"step\":2,\"" + evil + "\":1}\n");
  folder.write("report.json", "{\"name\":\"" + evil + "\",\"device\":\"" + evil +
                                  "\",\"finished\":\"" + evil + "\",\"after\":{\"" + evil +
                                  "\":1,\"sets\":{\"" + evil + "\":{\"categories\":{\"" + evil +
                                  "\":{\"" + evil + "\":1}}}}}}");
  folder.write("manifest.json", "{\"student\":{\"path\":\"" + evil + "\",\"files\":{\"" + evil +
                                    "\":\"" + evil + "\"}},\"data\":{\"" + evil +
                                    "\":{\"files\":{\"" + evil + "\":\"" + evil +
                                    "\"},\"fingerprint\":\"" + evil +
                                    "\"}},\"versions\":{\"distill\":\"" + evil + "\"}}");
  folder.write("recipe.yaml", "# marker\n<script>\xff</pre>&\n");
  folder.write("stages/a<b>\"c/report.html", "x");
  const std::string page = folder.page();
  const HtmlCheck check(page);
  EXPECT_EQ(check.count("script"), 0);
  EXPECT_EQ(check.count("img"), 0);
  EXPECT_EQ(page.find('\0'), std::string::npos);
  expect_all(page, {"&lt;script&gt;", "href=\"stages/a%3Cb%3E%22c/report.html\""});
  EXPECT_TRUE(core::is_utf8(page));
}

TEST(ReportHtml, DamagedFilesAreSaidAndTheRestIsShown) {
  Folder folder;
  folder.write("report.json", "{\"name\": ");
  folder.write("manifest.json", "[1, 2]");
  folder.write("metrics.jsonl", step_line(1, 3) + "junk\n" + std::string(100'000, 'x') + "\n[1]\n" +
                                    "{\"step\":-5,\"loss\":1}\n{\"step\":\"two\",\"loss\":1}\n" +
                                    "{\"step\":3,\"loss\":1e999}\n" + step_line(4, 2) +
                                    std::string("\xff\xfe\0\n", 4) + "{\"step\":5,\"loss\":2");
  const std::string page = folder.page();
  const HtmlCheck check(page);
  expect_all(check.words(),
             {"report.json:1:10", "6 of 10 lines could not be read, the first is line 2",
              "Unfinished run"});
  expect_all(page, {"loss: 3 at step 1, 2 at step 4"});
}

// Every beginning of a file that a killed process leaves is shown as far as it goes.
TEST(ReportHtml, AnyCutOfAnyFileGivesAPage) {
  const std::string metrics = step_line(1, 3) + step_line(2, 2);
  for (std::size_t length = 0; length < metrics.size(); length += 11) {
    Folder folder;
    folder.write("metrics.jsonl", metrics.substr(0, length));
    folder.write("manifest.json", std::string(kManifest).substr(0, length));
    folder.write("report.json", std::string(kReport).substr(0, 2 * length));
    const HtmlCheck check(folder.page());
  }
}

TEST(ReportHtml, WhatIsMissingIsLeftOut) {
  Folder folder;
  folder.write("metrics.jsonl", step_line(1, 3));
  const std::string page = folder.page();
  const HtmlCheck check(page);
  for (const char* part : {"Before and after", "Evaluations", "By category", "Lineage", "Stages",
                           "Gates", "Events", "<details"}) {
    EXPECT_EQ(page.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(page.find("could not be read"), std::string::npos);
}

TEST(ReportHtml, StagesAreLinkedInTheirOrder) {
  Folder folder;
  folder.write("manifest.json", R"({"name":"chain","stages":[
{"name":"warm","kind":"train","settings":"aa11","inputs":[{"path":"d.jsonl","hash":"bb22"}]},{"name":"cool"}]})");
  folder.write("stages/cool/report.json", kReport);
  folder.write("stages/warm/report.json", kReport);
  folder.write("stages/warm/report.html", "x");
  folder.write("stages/warm.old-1/report.json", kReport);
  folder.write("stages/gone/report.json", kReport);  // of an earlier recipe
  folder.write("stages/warm/metrics.jsonl", step_line(1, 1));
  const std::string page = folder.page();
  const HtmlCheck check(page);
  const auto warm = page.find("<a href=\"stages/warm/report.html\">warm</a>");
  ASSERT_NE(warm, std::string::npos);
  EXPECT_GT(page.find(">cool<"), warm);
  EXPECT_EQ(page.find("old-1"), std::string::npos);
  EXPECT_EQ(page.find("gone"), std::string::npos);
  expect_all(page, {"warm: input", "bb22", "aa11"});
  EXPECT_EQ(page.find("stages/cool/report.html"), std::string::npos);  // it has no page yet
  const auto file = write_report_html({.run = folder / "stages/warm/", .out = folder / "x.html"});
  expect_all(core::read_file(file, 1 << 20), {"<a href=\"../../report.html\">"});
}

// Mailed alone it must say what the pages of its stages say.
TEST(ReportHtml, TheWholeShowsCurvesAndGatesOfItsStages) {
  Folder folder;
  std::string more;
  for (int i = 0; i < 9; ++i) more += core::concat(R"(,{"name":"more)", i, "\"}");
  folder.write("manifest.json", core::concat(R"({"name":"chain","stages":[{"name":"warm"},)",
                                             R"({"name":"cool"})", more, "]}"));
  folder.write("report.json", R"({"name":"chain"})");
  folder.write("stages/warm/metrics.jsonl",
               step_line(1, 5) + step_line(2, 4) +
                   R"({"event":"forgetting","step":2,"drop wiki":0.01,"max_drop":0.05})" + "\n");
  folder.write(
      "stages/warm/report.json",
      R"({"gates":[{"require":"bias < 0.2","value":0.4,"holds":false,"on_failure":"warn"}],)"
      R"("forgetting":{"max_drop":0.05,"drops":{"wiki":0.01},"within_limit":true}})");
  folder.write("stages/cool/metrics.jsonl", step_line(1, 3));
  for (int i = 0; i < 9; ++i) {
    folder.write(core::concat("stages/more", i, "/metrics.jsonl"), step_line(1, 3));
  }
  const std::string page = folder.page();
  const HtmlCheck check(page);
  expect_all(page, {"Loss of warm", "Loss of cool", "3 more stages are not drawn",
                    "warm: <code>bias &lt; 0.2</code>", "warm: no set worse than before",
                    "Worse than before training warm"});
  EXPECT_EQ(page.find("Loss of more8"), std::string::npos);
}

TEST(ReportHtml, OtherFoldersAreRefused) {
  const TempFolder folder;
  EXPECT_EQ(message_of<InputError>([&] { write_report_html({.run = folder.path()}); }),
            folder.path().string() +
                ": holds neither report.json nor metrics.jsonl; give the folder of a run");
  EXPECT_FALSE(std::filesystem::exists(folder / "report.html"));
  const auto refused = [](const std::filesystem::path& run, const std::filesystem::path& out = {}) {
    return message_of<InputError>([&] { write_report_html({.run = run, .out = out}); });
  };
  EXPECT_EQ(refused(folder / "none"),
            (folder / "none").string() + ": no such folder; give the folder of a run");
  std::ofstream(folder / "report.json") << kReport;
  EXPECT_EQ(refused(folder / "report.json"),
            (folder / "report.json").string() + ": is a file; give the folder of a run");
  EXPECT_EQ(refused(folder.path(), folder.path()),
            folder.path().string() + ": is a folder; name the file to write");
}

}  // namespace
}  // namespace distill::pipeline
