// Makes a component of a module: node component.mjs SOURCE.js WORLD.wit WORLD OUT.wasm
import { readFile, writeFile } from "node:fs/promises";
import { argv } from "node:process";

import { componentize } from "@bytecodealliance/componentize-js";

const [source, wit, world, out] = argv.slice(2);
const { component } = await componentize({
  sourcePath: source,
  witWorld: await readFile(wit, "utf8"),
  worldName: world,
});
await writeFile(out, component);
