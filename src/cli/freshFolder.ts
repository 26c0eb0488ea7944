// Writing a folder that is whole or not there: exports overwrite nothing and leave no halves.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { UsageError } from "#src/domain/Errors.ts"

/** Calls `write` with a folder beside the target, which takes the target's place afterwards. @throws UsageError where the target is not empty */
export const writeFolder = async <A>(
  given: string,
  write: (aside: string) => Promise<A>
): Promise<{ readonly target: string; readonly result: A }> => {
  const target = resolve(given)
  if (existsSync(target) && readdirSync(target).length > 0)
    throw new UsageError({ message: `${target} is not empty`, why: "export overwrites nothing", hint: "give a new folder" })
  const aside = `${target}.${process.pid}.partial`
  mkdirSync(dirname(target), { recursive: true })
  mkdirSync(aside)
  try {
    const result = await write(aside)
    rmSync(target, { recursive: true, force: true })
    renameSync(aside, target)
    return { target, result }
  } finally {
    rmSync(aside, { recursive: true, force: true })
  }
}
