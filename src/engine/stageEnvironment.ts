// The environment of a stage's process.

/**
 * glibc gives freed blocks of this size or less back to the process, not to the system. ONNX Runtime's interface for Node.js copies
 * each output into new memory: without this, every step would have the pages of all gradients mapped and cleared anew, 70 ms for
 * 113 MB instead of 7.
 */
const keptBytes = 2 ** 40
const tunables = ["mmap_threshold", "trim_threshold"].map((name) => `glibc.malloc.${name}=${keptBytes}`).join(":")

/**
 * `own`: what the stage's kind wants on top of the user's environment (`StageKind.environment`). Of glibc's tunables what the user set comes
 * last, so it wins; other C libraries read nothing of them.
 */
export const stageEnvironment = (own: Readonly<Record<string, string>> = {}, env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv => ({
  ...env,
  ...own,
  GLIBC_TUNABLES: [tunables, own["GLIBC_TUNABLES"], env["GLIBC_TUNABLES"]].filter((part) => part !== undefined && part !== "").join(":")
})
