#include "pace/eval/page.h"

#include <fmt/format.h>

#include <algorithm>

#include "pace/eval/svg.h"

namespace pace::page {
namespace {

constexpr std::string_view kColours = R"css(
:root{color-scheme:light dark;
--page:#f6f7f9;--card:#fff;--ink:#16191d;--soft:#5b6470;--rule:#e3e6ea;--grid:#eceef1;--none:#c9ced6;
--s0:#0a66c2;--s1:#c8500a;--s2:#00805f;--s3:#a8488a;--s4:#8a6d00;--dense:#3c434c;
--shadow:0 1px 2px rgb(16 24 40/.05),0 4px 16px rgb(16 24 40/.05)}
@media (prefers-color-scheme:dark){:root{
--page:#101316;--card:#181c21;--ink:#e9ecef;--soft:#9aa4b0;--rule:#2a3038;--grid:#242a31;--none:#4a525d;
--s0:#5cb0ff;--s1:#ff9457;--s2:#3fd0a4;--s3:#e794cb;--s4:#e3c34a;--dense:#c3cad3;
--shadow:0 0 0 1px rgb(255 255 255/.03)}}
)css";

constexpr std::string_view kText = R"css(
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif;
font-variant-numeric:tabular-nums;-webkit-text-size-adjust:100%}
main{max-width:1180px;margin:0 auto;padding:48px 24px 64px}
header p{color:var(--soft);margin:4px 0 0;max-width:95ch}
h1{font-size:clamp(26px,4vw,36px);line-height:1.15;letter-spacing:-.02em;margin:0;font-weight:680}
h2{font-size:19px;letter-spacing:-.01em;margin:0;font-weight:650}
h4{font-size:13px;margin:0 0 8px;font-weight:650;text-transform:lowercase}
section{background:var(--card);border-radius:14px;box-shadow:var(--shadow);padding:24px 26px;
margin-top:20px;min-width:0;overflow-x:auto}
section>p{color:var(--soft);margin:4px 0 16px;max-width:95ch;font-size:14.5px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(420px,100%),1fr));gap:0 20px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:14px;margin-top:28px}
.figure{background:var(--card);border-radius:14px;box-shadow:var(--shadow);padding:16px 20px}
.figure b{display:block;font-size:28px;line-height:1.2;letter-spacing:-.02em;font-weight:660}
.figure span{color:var(--soft);font-size:13.5px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:15px}
th{font-weight:550;color:var(--soft);font-size:13px;text-align:right;padding:6px 12px;
border-bottom:1px solid var(--rule);white-space:nowrap}
td{text-align:right;padding:9px 12px;border-bottom:1px solid var(--grid);white-space:nowrap}
tr:last-child td{border-bottom:0}
th:first-child,td:first-child{text-align:left;padding-left:0}
th:last-child,td:last-child{padding-right:0}
tr.reference td{font-weight:620}
.texts td,.texts th{text-align:left;vertical-align:top}
.texts td:nth-child(2){white-space:normal;overflow-wrap:anywhere}
.text-maps p{white-space:pre-wrap;font-family:ui-monospace,monospace;line-height:1.5;margin:0}
.text-maps figure{margin:0 0 1rem}
.text-maps figcaption{font-size:13px;margin-top:7px;color:var(--soft)}
.text-maps .share{color:var(--ink);font-weight:600;margin-right:8px}
.texts em{font-style:normal;color:var(--s1)}
.meter{display:inline-block;vertical-align:middle;width:84px;height:6px;border-radius:3px;
background:var(--grid);margin-left:10px;overflow:hidden}
.meter i{display:block;height:100%;border-radius:3px;background:var(--s0)}
.reference .meter i{background:var(--dense)}
details{font-size:14.5px}
details+details{margin-top:8px}
summary{cursor:pointer;color:var(--soft)}
pre{overflow:auto;font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;
background:var(--page);border-radius:10px;padding:16px;margin:12px 0 0;max-height:560px}
footer{color:var(--soft);font-size:13px;margin-top:24px}
)css";

constexpr std::string_view kDrawings = R"css(
svg{display:block;width:100%;height:auto;overflow:visible}
section>svg{min-width:420px}
svg text{font-size:12.5px;fill:var(--soft)}
svg .end{text-anchor:end}svg .middle{text-anchor:middle}
svg .name{font-size:13px}
svg .value{fill:var(--ink);font-weight:600;paint-order:stroke;stroke:var(--card);stroke-width:4px;
stroke-linejoin:round}
svg .grid{stroke:var(--grid)}svg .axis{stroke:var(--none)}
svg .curve{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
svg .first .curve{stroke-width:2.75}
svg .dashed{stroke-dasharray:5 5;stroke-width:1.5}
svg .mark{fill:var(--c);stroke:var(--card);stroke-width:1.5}
svg .ideal{stroke:var(--soft)}
svg .bin{fill:var(--s0);opacity:.85}
svg .wave{fill:var(--soft)}
svg .mean{stroke:var(--ink);stroke-width:1.5}
.s0{--c:var(--s0)}.s1{--c:var(--s1)}.s2{--c:var(--s2)}.s3{--c:var(--s3)}.s4{--c:var(--s4)}
.dense{--c:var(--dense)}.ideal{--c:var(--soft)}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;padding:0;margin:0 0 18px;
font-size:13.5px;color:var(--soft)}
.legend li{display:flex;align-items:center;gap:7px}
.legend .key{width:30px;height:14px}
.swatch{width:14px;height:14px;border-radius:4px}
)css";

constexpr std::string_view kPanels = R"css(
.tabs>input{position:absolute;opacity:0;pointer-events:none}
.tabs>label{display:inline-block;padding:5px 14px;margin:0 6px 18px 0;border-radius:99px;cursor:pointer;
font-size:14px;border:1px solid var(--rule);color:var(--soft)}
.tabs>input:checked+label{background:var(--s0);border-color:var(--s0);color:var(--card);font-weight:600}
.tabs>input:focus-visible+label{outline:2px solid var(--s0);outline-offset:2px}
.tabs>div{display:none}
.groups{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(300px,100%),1fr));gap:24px 36px}
.row{display:grid;grid-template-columns:64px 1fr 28px;gap:10px;align-items:center;font-size:13px;
line-height:1;margin-bottom:5px;color:var(--soft)}
.row b{font-weight:600;color:var(--ink);text-align:right}
.stack{display:flex;height:15px;border-radius:4px;overflow:hidden;background:var(--grid)}
.stack i{display:block;height:100%}
.maps{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(250px,100%),1fr));gap:24px 22px}
.maps.wide{grid-template-columns:repeat(auto-fill,minmax(min(420px,100%),1fr))}
.maps figure{margin:0;min-width:0}
.maps .sides{display:grid;grid-template-columns:1fr 1fr;gap:4px}
.maps img{display:block;width:100%;aspect-ratio:1;object-fit:fill;image-rendering:pixelated;
border-radius:6px}
.maps figcaption{font-size:13px;line-height:1.4;margin-top:7px;color:var(--soft);overflow-wrap:anywhere}
.maps figcaption b{color:var(--ink);font-weight:600}
.maps em{font-style:normal;color:var(--s1)}
.maps .share{float:right;color:var(--ink);font-weight:600;margin-left:8px}
.scale{display:flex;align-items:center;gap:10px;font-size:13.5px;color:var(--soft);margin-bottom:18px}
.scale i{width:180px;height:10px;border-radius:5px}
@media print{body{background:none}section,.figure{box-shadow:none;break-inside:avoid}}
)css";

std::string tab_rules() {
  std::string rules;
  for (size_t i = 1; i <= kMostTabs; ++i) {
    rules += fmt::format(
        ".tabs>input:nth-of-type({0}):checked~div:nth-of-type({0}){{display:block}}\n", i);
  }
  return rules;
}

}  // namespace

std::string document(std::string_view title, std::string_view body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
      "<title>{}</title>\n<style>{}{}{}{}{}</style>\n</head>\n<body>\n<main>\n{}</main>\n"
      "</body>\n</html>\n",
      svg::escape(title), kColours, kText, kDrawings, kPanels, tab_rules(), body);
}

std::string section(std::string_view heading, std::string_view explanation,
                    std::string_view content) {
  std::string out = fmt::format("<section>\n<h2>{}</h2>\n", svg::escape(heading));
  if (!explanation.empty()) out += fmt::format("<p>{}</p>\n", svg::escape(explanation));
  return out + std::string(content) + "</section>\n";
}

std::string tabs(std::span<const Tab> panels, size_t shown) {
  std::string labels, contents;
  for (size_t i = 0; i < std::min(panels.size(), kMostTabs); ++i) {
    labels += fmt::format(
        "<input type=\"radio\" name=\"tabs\" id=\"tab{0}\"{1}><label for=\"tab{0}\">{2}</label>", i,
        i == shown ? " checked" : "", svg::escape(panels[i].label));
    contents += fmt::format("<div>{}</div>\n", panels[i].content);
  }
  return fmt::format("<div class=\"tabs\">{}\n{}</div>\n", labels, contents);
}

std::string png_address(std::span<const uint8_t> png) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out = "data:image/png;base64,";
  for (size_t i = 0; i < png.size(); i += 3) {
    const size_t have = std::min<size_t>(3, png.size() - i);
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j) bits = bits << 8 | (j < have ? png[i + j] : 0u);
    for (size_t j = 0; j < 4; ++j) {
      out += j <= have ? kDigits[bits >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

}  // namespace pace::page
