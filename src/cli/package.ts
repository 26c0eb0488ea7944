// The installed package itself: its folder and version, found by its own name so that it works from source and from the bundle.
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname } from "node:path"

const manifest = createRequire(import.meta.url).resolve("anneal/package.json")

export const packageFolder: string = dirname(manifest)
export const version: string = (JSON.parse(readFileSync(manifest, "utf8")) as { readonly version: string }).version
