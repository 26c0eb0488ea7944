// The command line that goes on with a stopped run: the same one, without what belongs to this attempt only.

/** A word as a POSIX shell reads it back. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)

// A run's name is taken once it began, and --restart would throw the checkpoint away.
const dropped = ["--name", "--restart"]

/** @param args what followed "anneal" */
export const commandAgain = (args: readonly string[]): string => {
  const kept = args.filter((word, index) => {
    const isValueOfDropped = dropped.includes(args[index - 1] ?? "")
    return !isValueOfDropped && !dropped.includes(word) && !dropped.some((flag) => word.startsWith(`${flag}=`))
  })
  return ["anneal", ...kept.map(quoted)].join(" ")
}
