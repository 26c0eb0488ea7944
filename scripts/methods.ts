// Trains the quickstart's task in four ways and compares them in one table: npm run methods
import { spawnSync } from "node:child_process"

const anneal = (...args: readonly string[]): void => {
  const { status } = spawnSync(process.execPath, ["bin/anneal.js", ...args], { stdio: ["ignore", "inherit", "inherit"] })
  if (status !== 0) process.exit(status ?? 1)
}

const started = Date.now().toString(36)
const runs = ["full", "lora", "qlora", "prefix"].map((pipeline) => {
  const name = `${pipeline}-${started}`
  anneal("run", pipeline, "--name", name, "--ui", "plain")
  return name
})
anneal("compare", ...runs)
