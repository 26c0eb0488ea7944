// Why a process of ours that died by a signal most likely died.
const causes: Readonly<Record<string, string>> = {
  SIGKILL: "most likely the machine ran out of memory and the system ended it",
  SIGABRT: "native code gave up, most likely out of memory",
  SIGSEGV: "native code crashed",
  SIGBUS: "native code crashed",
  SIGILL: "native code uses instructions that this processor lacks"
}

export const crashCause = (signal: string | null): string | undefined => (signal === null ? undefined : causes[signal])
