// Makes a module that imports and exports all of a world: node dummy.mjs WORLD.wit WORLD ENCODING OUT.wasm
import { readFile, writeFile } from "node:fs/promises";
import { argv } from "node:process";

import { componentEmbed } from "@bytecodealliance/jco";

const [wit, world, stringEncoding, out] = argv.slice(2);
const witSource = await readFile(wit, "utf8");
await writeFile(out, await componentEmbed({ dummy: true, witSource, world, stringEncoding }));
