// Patterns on tensor names: * stands for any text, everything else for itself.

export const fitsPattern = (pattern: string, name: string): boolean =>
  new RegExp(`^${pattern.replaceAll(/[\\^$.|?+()[\]{}]/g, "\\$&").replaceAll("*", ".*")}$`).test(name)
