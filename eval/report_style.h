/// \file
/// The look of the report: one style sheet, no script, nothing fetched.
#pragma once

#include <string_view>

namespace manyform {

inline constexpr std::string_view kReportStyle = R"css(
:root {
  --ink: #1f2328; --soft: #59606b; --faint: #8b919b; --rule: #d9dce1; --wash: #f5f6f8; --good: #0b7a4b;
  --accent: #24568f;
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 3.5rem 1.5rem 4rem; max-width: 66rem; background: #fff; color: var(--ink);
  font: 400 1.0625rem/1.55 "Charter", "Bitstream Charter", "Sitka Text", "Iowan Old Style", Cambria, Georgia, serif;
  font-kerning: normal; hyphens: auto; text-rendering: optimizeLegibility;
}
h1, h2, h3 { font-weight: 600; line-height: 1.2; text-wrap: balance; hyphens: manual; }
h1 { font-size: 2.25rem; letter-spacing: -0.01em; margin: 0 0 0.35rem; }
h2 { font-size: 1.35rem; margin: 3.2rem 0 0.6rem; padding-top: 0.9rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1.0625rem; margin: 1.8rem 0 0.5rem; }
p { margin: 0.5rem 0 0.9rem; max-width: 44rem; }
.lede, .note, figcaption, footer, caption { color: var(--soft); }
.lede { font-size: 1.1rem; }
.note, figcaption, footer, caption { font-size: 0.9rem; line-height: 1.45; }
.warning { border-left: 3px solid #b4540a; background: #fdf5ee; padding: 0.5rem 0.9rem; max-width: none; }
table {
  border-collapse: collapse; margin: 0.6rem 0 1rem; font-size: 0.95rem; line-height: 1.35;
  font-variant-numeric: lining-nums tabular-nums;
}
.wide { overflow-x: auto; }
caption { caption-side: bottom; text-align: left; padding-top: 0.5rem; max-width: 44rem; }
th, td { padding: 0.34rem 1.1rem 0.34rem 0; text-align: left; vertical-align: baseline; }
th { font-weight: 600; }
thead th { border-bottom: 1.5px solid var(--ink); font-size: 0.85rem; color: var(--soft); }
tbody th { font-weight: 400; white-space: nowrap; }
tbody tr + tr > * { border-top: 1px solid #eceef1; }
tbody tr:last-child > * { border-bottom: 1.5px solid var(--ink); }
.number { text-align: right; white-space: nowrap; }
th.number, td.number { padding: 0.34rem 0.2rem 0.34rem 1.2rem; }
.best { font-weight: 700; color: var(--good); }
.spread { color: var(--faint); font-weight: 400; font-size: 0.85em; }
tr.chance > *, tr.baseline > * { color: var(--soft); font-style: italic; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1.4rem 2rem; }
.charts figure { margin: 0; min-width: 0; }
svg.chart { display: block; width: 100%; height: auto; }
svg.chart text { font-family: inherit; fill: var(--soft); font-variant-numeric: lining-nums tabular-nums; }
svg.chart .chart-title { font-size: 14px; font-weight: 600; fill: var(--ink); }
svg.chart .tick, svg.chart .legend { font-size: 12px; }
svg.chart .axis { font-size: 12px; font-style: italic; }
.gallery { margin: 0.4rem 0 1.6rem; }
.shapes { display: flex; flex-wrap: wrap; gap: 0.6rem; align-items: flex-start; margin: 0.35rem 0 0.9rem; }
.shape { width: 8.4rem; margin: 0; break-inside: avoid; }
.shape img { display: block; width: 100%; height: auto; border: 1px solid var(--rule); border-radius: 3px; }
.shape figcaption { font-size: 0.8rem; margin-top: 0.2rem; overflow-wrap: anywhere; hyphens: none; line-height: 1.3; }
.query img { border-color: var(--accent); }
.query { margin-right: 1rem; }
.right img { outline: 3px solid var(--good); outline-offset: -1px; border-color: var(--good); }
.right figcaption { color: var(--good); font-weight: 600; }
.field img { border: 0; border-radius: 2px; }
.scale { display: inline-flex; align-items: center; gap: 0.5rem; }
.scale img { height: 0.8rem; width: 9rem; }
ul.credits { columns: 20rem auto; column-gap: 2rem; padding-left: 1.1rem; margin: 0.5rem 0; font-size: 0.9rem; }
ul.credits li { break-inside: avoid; margin-bottom: 0.2rem; hyphens: none; }
footer { margin-top: 3.5rem; border-top: 1px solid var(--rule); padding-top: 1rem; }
details { margin: 0.35rem 0; }
summary { cursor: pointer; }
pre {
  background: var(--wash); border-radius: 3px; padding: 0.7rem 0.9rem; overflow-x: auto; white-space: pre-wrap;
  font: 0.8rem/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere;
}
@media (max-width: 34rem) { .charts { grid-template-columns: 1fr; } body { padding-top: 2rem; } }
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  h2, h3 { break-after: avoid; }
  figure, table, .shapes, svg { break-inside: avoid; }
  .charts { grid-template-columns: 1fr 1fr; }
  .shape { width: 6.6rem; }
  .wide { overflow: visible; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
)css";

}  // namespace manyform
