// The environment of a stage's process.

/**
 * `own`: what the stage's kind wants on top of the user's environment (`StageKind.environment`). Of glibc's tunables what the user set comes
 * last, so it wins; other C libraries read nothing of them.
 */
export const stageEnvironment = (own: Readonly<Record<string, string>> = {}, env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv => {
  const tunables = [own["GLIBC_TUNABLES"], env["GLIBC_TUNABLES"]].filter((part) => part !== undefined && part !== "")
  return { ...env, ...own, ...(tunables.length === 0 ? {} : { GLIBC_TUNABLES: tunables.join(":") }) }
}
