/** How the report looks: in light and dark, on paper and on a phone, with nothing fetched from anywhere. Colours are the search page's. */
export const REPORT_STYLE = `
:root {
  color-scheme: light dark;
  --ground: #fbfaf8; --raised: #ffffff; --sunk: #f1f0ec; --ink: #1c1e1d; --quiet: #5d6461; --line: #dedcd5;
  --accent: #2a6a58; --fill: #cfe5dc; --right: #2a6a58; --wrong: #a3261a; --second: #b7791f;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  color: var(--ink); background: var(--ground);
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #141615; --raised: #1d201f; --sunk: #232726; --ink: #eceeed; --quiet: #a6aeaa; --line: #333836;
    --accent: #7fc8b1; --fill: #234a3e; --right: #7fc8b1; --wrong: #ff9c8f; --second: #e2b15a;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: clamp(1rem, 3vw, 2.5rem); }
h1 { font-size: clamp(1.6rem, 4vw, 2.25rem); line-height: 1.15; margin: 0 0 .5rem; letter-spacing: -.02em; }
h2 { font-size: 1.3rem; margin: 3rem 0 .25rem; letter-spacing: -.01em; }
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0 .75rem; max-width: 70ch; }
.quiet { color: var(--quiet); }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.facts { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0 0; padding: 0; list-style: none; }
.facts li { background: var(--raised); border: 1px solid var(--line); border-radius: 10px; padding: .35rem .8rem; }
.facts b { font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: .75rem 0; border: 1px solid var(--line); border-radius: 12px; background: var(--raised); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .6rem .9rem; color: var(--quiet); font-size: .9rem; }
th, td { padding: .45rem .9rem; text-align: right; border-top: 1px solid var(--line); white-space: nowrap; }
thead th { font-weight: 600; color: var(--quiet); font-size: .875rem; vertical-align: bottom; }
tbody th, th:first-child, .text { text-align: left; }
tbody th { font-weight: 500; }
.best { font-weight: 700; color: var(--accent); }
td.bar { min-width: 9rem; background: linear-gradient(to right, var(--fill) var(--share), transparent var(--share)) no-repeat .45rem center / calc(100% - .9rem) 60%; }
.split { display: flex; height: 1.1rem; border-radius: 6px; overflow: hidden; border: 1px solid var(--line); margin: .5rem 0; background: var(--sunk); }
.split i { display: block; }
.split .a { background: var(--accent); }
.split .b { background: var(--second); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; padding: 0; margin: 0 0 1rem; list-style: none; }
.swatch { display: inline-block; width: .8rem; height: .8rem; border-radius: 3px; margin-right: .4rem; border: 1px solid var(--line); }
.examples { display: grid; gap: .75rem; margin: .5rem 0 1.5rem; padding: 0; list-style: none; }
.example { display: grid; grid-template-columns: minmax(8rem, 13rem) 1fr; gap: 1rem; background: var(--raised); border: 1px solid var(--line); border-radius: 12px; padding: .75rem; align-items: start; }
.hits { display: flex; flex-wrap: wrap; gap: .6rem; padding: 0; margin: 0; list-style: none; }
figure { margin: 0; }
figure img { display: block; width: 96px; height: 96px; object-fit: contain; background: var(--sunk); border-radius: 8px; }
.query img { width: 112px; height: 112px; }
figcaption { font-size: .8rem; line-height: 1.35; color: var(--quiet); overflow-wrap: anywhere; margin-top: .25rem; }
.query figcaption b { color: var(--ink); display: block; font-size: .9rem; }
.hit img { border: 3px solid var(--line); }
.hit.right img { border-color: var(--right); }
.hit figcaption { text-align: center; font-variant-numeric: tabular-nums; }
.hit.right figcaption { color: var(--right); font-weight: 600; }
.hits > li.other { align-self: stretch; border-left: 1px solid var(--line); padding-left: .6rem; }
details { margin: 1rem 0; }
summary { cursor: pointer; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem; font-size: .9rem; }
@media (max-width: 40rem) { .example { grid-template-columns: 1fr; } }
@media print { .example, .scroll { break-inside: avoid; } }
`;
