# Completion of fireclaw, fireclaw-mcp and fireclaw-overseer in bash. The program itself knows how a line can continue.

_fireclaw() {
  # bash takes "--net=nat" and "a:b" apart. What stands together in the line is one word.
  local rest=${COMP_LINE:0:COMP_POINT} words=() i
  for ((i = 0; i <= COMP_CWORD; i++)); do
    local word=${COMP_WORDS[i]}
    if ((i > 0 && ${#words[@]} > 0)) && [[ -n $rest && $rest != [[:blank:]]* ]]; then
      words[-1]+=$word
    else
      rest=${rest#"${rest%%[![:blank:]]*}"}
      words+=("$word")
    fi
    rest=${rest#"$word"}
  done
  local program=${words[0]/#\~/$HOME} current=${words[-1]} lines=()
  mapfile -t lines < <("$program" __complete "${words[@]:1}" 2>/dev/null)
  # bash replaces only what stands behind the last of the characters at which it takes words apart.
  local parted=${current%"${current##*[=:]}"}
  local candidate
  COMPREPLY=()
  for candidate in "${lines[@]:1}"; do
    candidate=${candidate%%$'\t'*}
    COMPREPLY+=("${candidate#"$parted"}")
  done
  local kind=''
  case ${lines[0]:-} in
    files) kind=-f ;;
    folders) kind=-d ;;
  esac
  if [[ $kind ]]; then
    compopt -o filenames
    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen "$kind" -- "${current#"$parted"}")
  fi
}
complete -F _fireclaw fireclaw fireclaw-mcp fireclaw-overseer
