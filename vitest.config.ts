// Tests run the TypeScript sources (condition "source"); tests that spawn the command line use dist/, which `npm test` builds first.
import { defineConfig } from "vitest/config"

// Tests open sessions in their own processes: on CUDA these need this from their start, as a stage's process has it.
process.env["NVIDIA_TF32_OVERRIDE"] = "0"

export default defineConfig({
  resolve: { conditions: ["source", "node", "import"] },
  ssr: { resolve: { conditions: ["source", "node", "import"] } },
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/soak/**", "node_modules/**", "dist/**"],
    setupFiles: ["test/setup.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    execArgv: ["--conditions=source", "--no-warnings"]
  }
})
