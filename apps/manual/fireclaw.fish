# Completion of fireclaw, fireclaw-mcp and fireclaw-overseer in fish. The program itself knows how a line can continue.

function __fireclaw_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
    switch "$lines[1]"
        case files
            __fish_complete_path "$current"
        case folders
            __fish_complete_directories "$current"
    end
    test (count $lines) -gt 1; and printf '%s\n' $lines[2..-1]
end

for program in fireclaw fireclaw-mcp fireclaw-overseer
    complete -c $program -f -a '(__fireclaw_complete)'
end
