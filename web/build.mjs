// Bundle src/ with three and Spark into the one script that lyra_sim/viewer/page_assets ships.
//
//   npm ci && npm run build
//
// The same sources and lock file give the same bytes; bundle.json records both, and a test compares them.

import { build } from "esbuild";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "lyra_sim", "viewer", "page_assets");
const read = (...parts) => readFileSync(join(here, ...parts));
const sha256 = (...contents) => contents.reduce((hash, c) => hash.update(c), createHash("sha256")).digest("hex");

const result = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.js"],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  write: false,
  metafile: true,
  logLevel: "warning",
});
const script = Buffer.from(result.outputFiles[0].contents);

const inputs = Object.keys(result.metafile.inputs);
const used = ["three", "@sparkjsdev/spark"].filter((name) =>
  inputs.some((path) => path.startsWith(`node_modules/${name}/`)),
);
const strangers = inputs.filter(
  (path) => !path.startsWith("src/") && !used.some((name) => path.startsWith(`node_modules/${name}/`)),
);
if (strangers.length) throw new Error(`add the licence of ${strangers.join(", ")}`);

const version = (name) => JSON.parse(read("node_modules", name, "package.json")).version;
const licence = (name, note) =>
  `${name} ${version(name)}${note}\n\n${read("node_modules", name, "LICENSE").toString().trim()}\n`;
const licences = [
  "The script in this page was bundled from these packages.\n",
  licence("three", " (https://threejs.org)".replace("https://", "")),
  licence("@sparkjsdev/spark", " (sparkjs.dev)"),
  // Spark carries these two inside its own file.
  licence("fflate", ", inside @sparkjsdev/spark"),
  read("rust-crates.txt").toString().trim() + "\n",
].join(`\n${"-".repeat(78)}\n\n`);

const sources = readdirSync(join(here, "src")).sort();
const facts = {
  script_sha256: sha256(script),
  script_bytes: script.length,
  script_gzip_bytes: gzipSync(script, { level: 9 }).length,
  sources_sha256: sha256(...sources.map((name) => read("src", name))),
  lock_sha256: sha256(read("package-lock.json")),
  packages: Object.fromEntries(["esbuild", ...used].map((name) => [name, version(name)])),
};
writeFileSync(join(target, "viewer.js"), script);
writeFileSync(join(target, "LICENSES.txt"), licences);
writeFileSync(join(target, "bundle.json"), JSON.stringify(facts, null, 2) + "\n");
process.stdout.write(JSON.stringify(facts, null, 2) + "\n");
