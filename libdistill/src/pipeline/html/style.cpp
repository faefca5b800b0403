#include "pipeline/html/sections.h"

namespace distill::pipeline::html {

std::string_view style() {
  // Colours of series differ in lightness as well as in hue.
  static constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1a1f27;--soft:#5c6673;--rule:#e3e7ec;
--link:#1f56c9;--good:#0f7650;--bad:#b42318;--tag:#eef2f8;--s0:#2358d1;--s1:#dd6b10;--s2:#0e8f70;
--s3:#b23a92;--s4:#7450cf;--s5:#9a7400;--s6:#0b84ab;--s7:#69727f;--b0:#b9c2cf;--b1:#7fa3ec;--b2:#2358d1}
@media(prefers-color-scheme:dark){:root{--page:#0f1216;--card:#181d23;--ink:#e6eaef;--soft:#98a3b0;
--rule:#2a313a;--link:#8fb2ff;--good:#56d3a0;--bad:#ff8a80;--tag:#242c36;--s0:#7da5ff;--s1:#ffa65c;
--s2:#4fd0ab;--s3:#ee8fd2;--s4:#b79dff;--s5:#e0c04c;--s6:#5ec9ea;--s7:#a2acb8;--b0:#4b5561;
--b1:#4568b0;--b2:#7da5ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main{max-width:1180px;margin:0 auto;padding:40px 24px 56px}
a{color:var(--link)}
h1{margin:0;font-size:34px;line-height:1.2;letter-spacing:-.02em;overflow-wrap:anywhere}
h2{margin:44px 0 14px;font-size:20px;letter-spacing:-.01em}
h3{margin:0;font-size:14px;font-weight:600}
.kind{margin:0 0 6px;color:var(--soft);font-size:13px;font-weight:600;letter-spacing:.02em}
.facts{margin:8px 0 26px;color:var(--soft)}
.card,.tile{background:var(--card);border:1px solid var(--rule);border-radius:10px}
.card{margin:0;padding:18px 20px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:14px;margin-bottom:14px}
.tile{padding:16px 20px}
.tile h3{color:var(--soft);font-weight:500}
.tile strong{display:block;font-size:27px;overflow-wrap:anywhere;line-height:1.25;font-weight:650;letter-spacing:-.02em}
.tile p{margin:2px 0 0;color:var(--soft);font-size:13px}
.tile .change{margin-left:8px}
.change{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}
.change.good,.change.bad{font-weight:600}
.pair{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:14px;align-items:start}
.stack{display:grid;gap:14px}
.charts{display:grid;grid-template-columns:repeat(6,minmax(0,1fr));gap:14px}
.whole{grid-column:1/-1}.half{grid-column:span 3}.third{grid-column:span 2}
.scroll{overflow-x:auto}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:8px 0 8px 18px;text-align:right;border-top:1px solid var(--rule);vertical-align:top}
th:first-child,td:first-child{padding-left:0;text-align:left}
thead th,thead td{border:0;padding-top:0;color:var(--soft);font-size:13px;font-weight:500}
th[scope=row]{font-weight:400}
td{white-space:nowrap}.values,.path,.more{white-space:normal}
td.main{font-weight:650}
td small{display:block;color:var(--soft);font-size:12px;font-weight:400}
.yes,.no{font-weight:600}.yes{color:var(--good)}.no{color:var(--bad)}
.set,.tag{display:inline-block;padding:0 7px;border-radius:5px;background:var(--tag);font-size:13px}
.events th,.events td,.hashes th,.hashes td{text-align:left}
.values .value{display:inline-block;margin-right:14px;color:var(--soft)}
.values b{color:var(--ink);font-weight:500}
.more{color:var(--soft)}
.path{overflow-wrap:anywhere}
code,pre{font:12px/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
dl{display:grid;grid-template-columns:auto minmax(0,1fr);gap:9px 18px;align-content:start}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
figcaption p{margin:2px 0 0;color:var(--soft);font-size:13px}
.legend{display:flex;flex-wrap:wrap;gap:3px 18px;margin:8px 0 10px;padding:0;list-style:none;
color:var(--soft);font-size:13px}
.legend b{color:var(--ink);font-weight:600;font-variant-numeric:tabular-nums}
.scale{font-style:italic}
.legend i{display:inline-block;width:14px;height:3px;margin-right:7px;border-radius:2px;
vertical-align:middle;background:var(--c)}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--soft);font-size:12px;font-variant-numeric:tabular-nums}
svg text.value{fill:var(--ink)}
.whole svg{min-width:820px}
.grid{stroke:var(--rule);fill:none}
.line,.raw{fill:none;stroke:var(--c);stroke-linejoin:round;stroke-linecap:round}
.line{stroke-width:2}.raw{stroke-width:1;opacity:.38}
.dot{fill:var(--c);stroke:var(--card);stroke-width:1.5}
.level{fill:none;stroke:var(--soft);stroke-dasharray:5 4}
.resumed{fill:none;stroke:var(--soft);stroke-dasharray:1 4;stroke-linecap:round}
.decided{fill:none;stroke:var(--s4);opacity:.6}
.skipped{fill:var(--bad)}
.legend i.level,.legend i.resumed{height:0;border-top:2px dashed var(--soft);background:none}
.legend i.resumed{border-top-style:dotted}
.legend i.decided{width:2px;height:12px;background:var(--s4)}
.legend i.skipped{width:8px;height:8px;background:var(--bad);clip-path:polygon(50% 0,100% 100%,0 100%)}
.s0{--c:var(--s0)}.s1{--c:var(--s1)}.s2{--c:var(--s2)}.s3{--c:var(--s3)}.s4{--c:var(--s4)}
.s5{--c:var(--s5)}.s6{--c:var(--s6)}.s7{--c:var(--s7)}
.b0{--c:var(--b0)}.b1{--c:var(--b1)}.b2{--c:var(--b2)}
.legend i[class^=b]{height:9px}
.bar{fill:var(--c)}.whisker{fill:none;stroke:var(--ink);opacity:.75}
.parts{display:flex;height:22px;overflow:hidden;border-radius:6px;background:var(--rule)}
.parts span{background:var(--c)}
details{margin-top:44px!important}
summary{cursor:pointer;font-weight:600}
pre{margin:14px 0 0;overflow-x:auto}
.problems{margin:28px 0 0;color:var(--bad);overflow-wrap:anywhere}
footer{margin-top:36px;color:var(--soft);font-size:13px}
@media(max-width:820px){main{padding:24px 16px 40px}.pair{grid-template-columns:minmax(0,1fr)}.half,.third{grid-column:1/-1}h1{font-size:27px}}
@media print{body{background:#fff}.card,.tile{break-inside:avoid}}
)";
  return kStyle;
}

}  // namespace distill::pipeline::html
