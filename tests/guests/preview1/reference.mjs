// Makes a component of a module that has its world: node reference.mjs MODULE.wasm OUT.wasm [ADAPTER.wasm]
import { readFile, writeFile } from "node:fs/promises";
import { argv } from "node:process";

import { componentNew } from "@bytecodealliance/jco";

const [module, out, adapter] = argv.slice(2);
const adapters = adapter ? [["wasi_snapshot_preview1", await readFile(adapter)]] : [];
await writeFile(out, await componentNew(await readFile(module), adapters));
