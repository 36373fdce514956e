// Makes modules that import and export all of a world, and the components that wit-component makes of
// them: node dummies.mjs WORLD FOLDER. For each NAME.wit there, NAME.wasm and NAME.reference.wasm, unless
// it is not valid.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { argv } from "node:process";

import { componentEmbed, componentNew } from "@bytecodealliance/jco";

const [world, folder] = argv.slice(2);
for (const file of await readdir(folder)) {
  const path = join(folder, file.replace(/\.wit$/, ""));
  const witSource = await readFile(join(folder, file), "utf8");
  let module;
  try {
    module = await componentEmbed({ dummy: true, witSource, world });
  } catch {
    continue;
  }
  await writeFile(`${path}.wasm`, module);
  await writeFile(`${path}.reference.wasm`, await componentNew(module));
}
