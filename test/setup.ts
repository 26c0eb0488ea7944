// Before each test file: a temporary folder of its own, gone when the file ends with all that the tests and their processes left there.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"

// Compiled code is kept between processes, the sources' too: a stage's own process starts in half the time.
process.env["NODE_COMPILE_CACHE"] ??= join(tmpdir(), "node-compile-cache")

const folder = mkdtempSync(join(tmpdir(), "anneal-tests-"))
process.env["TMPDIR"] = folder
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
