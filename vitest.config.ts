// Tests run the TypeScript sources (condition "source"); tests that spawn the command line use dist/, which `npm test` builds first.
import { defineConfig } from "vitest/config"
import { cudaEnvironment } from "./src/runtime/cudaEnvironment.ts"

// Tests open sessions in their own processes: on CUDA these need this from their start, as a stage's process has it.
Object.assign(process.env, cudaEnvironment)

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
