// Writes the world of a core module into it: node embed.mjs CORE.wasm WORLD.wit WORLD OUT.wasm
import { readFile, writeFile } from "node:fs/promises";
import { argv } from "node:process";

import { componentEmbed } from "@bytecodealliance/jco";

const [core, wit, world, out] = argv.slice(2);
const embedded = await componentEmbed({
  binary: await readFile(core),
  witSource: await readFile(wit, "utf8"),
  world,
});
await writeFile(out, embedded);
