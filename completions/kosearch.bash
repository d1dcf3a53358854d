# Completes kosearch's commands, options and values. Made by `python tests/completion_making.py`.
# In ~/.bashrc: source <(kosearch completions bash); or copy it into ~/.local/share/bash-completion/completions/.

_kosearch_names() {
    env COMP_WORDS="kosearch index --$2 " COMP_CWORD=3 _KOSEARCH_COMPLETE=complete_bash "$1" 2>/dev/null
}

_kosearch() {
    local word=$2 previous=$3 command= words= line i
    [[ $word == '=' ]] && word=
    [[ $previous == '=' ]] && previous=${COMP_WORDS[COMP_CWORD - 2]}
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        index|query|show|open|pick|status|remove|extract|similar|duplicates|topics|vectors|embed|similarity|eval|train|questions|serve|ui|mcp|check|repair|docs|completions|indexes|models) command=${COMP_WORDS[i]}; break ;;
        esac
    done
    ((i + 1 < COMP_CWORD)) && case "$command ${COMP_WORDS[i + 1]}" in
        indexes\ backup | indexes\ restore | indexes\ adopt | indexes\ upgrade | indexes\ rename | indexes\ remove | indexes\ move) command+=" ${COMP_WORDS[i + 1]}" ;;
        models\ pull | models\ check | models\ rm | models\ export | models\ import) command+=" ${COMP_WORDS[i + 1]}" ;;
    esac
    COMPREPLY=()
    case "$command $previous" in
        'index --include' | 'index --exclude' | 'index --part' | 'index --ray' | 'index --max-file-size' | 'index --passage-tokens' | 'index --passage-overlap' | 'index --endpoint' | 'index --dimensions' | 'index --into' | 'query -k' | 'query --path' | 'query --after' | 'query --before' | 'query --weight' | 'query --min-score' | 'query --rerank' | 'query -C' | 'query --context' | 'query --max-bytes' | 'query --offset' | 'query --format' | 'query --batch' | 'query --refresh' | 'show -C' | 'show --context' | 'similar -k' | 'similar --path' | 'similar --after' | 'similar --before' | 'similar -C' | 'similar --context' | 'duplicates --path' | 'topics -n' | 'topics --depth' | 'topics --path' | 'topics --map' | 'vectors --npy' | 'vectors --parquet' | 'vectors --path' | 'similarity --pairs' | 'eval --compare' | 'eval --weight' | 'eval --failures' | 'eval --qrels' | 'eval --run' | 'eval --plot' | 'eval --endpoint' | 'eval --passage-tokens' | 'train --from' | 'train --out' | 'train --qrels' | 'train --layers' | 'train --recipe' | 'train --seed' | 'questions --sample' | 'questions --seed' | 'questions --writer' | 'questions --endpoint' | 'serve --idle' | 'ui --port') return ;;
        'index -i' | 'index --index' | 'query -i' | 'query --index' | 'show -i' | 'show --index' | 'pick -i' | 'pick --index' | 'status -i' | 'status --index' | 'remove -i' | 'remove --index' | 'similar -i' | 'similar --index' | 'duplicates -i' | 'duplicates --index' | 'topics -i' | 'topics --index' | 'vectors -i' | 'vectors --index' | 'eval -i' | 'eval --index' | 'train -i' | 'train --index' | 'questions -i' | 'questions --index' | 'serve -i' | 'serve --index' | 'ui -i' | 'ui --index' | 'mcp -i' | 'mcp --index' | 'check -i' | 'check --index' | 'repair -i' | 'repair --index' | 'indexes backup -i' | 'indexes backup --index' | 'indexes restore -i' | 'indexes restore --index' | 'indexes move -i' | 'indexes move --index') words=$(_kosearch_names "$1" index) ;;
        'index --ocr' | 'extract --ocr') words=$'auto\noff\nforce' ;;
        'index -m' | 'index --model' | 'embed -m' | 'embed --model' | 'similarity -m' | 'similarity --model' | 'eval -m' | 'eval --model') words=$(_kosearch_names "$1" model) ;;
        'index --device' | 'query --device' | 'pick --device' | 'similar --device' | 'embed --device' | 'similarity --device' | 'eval --device' | 'train --device' | 'serve --device' | 'ui --device' | 'mcp --device' | 'models check --device') words=$'auto\ncpu\ncuda\nmps' ;;
        'index --storage') words=$'float16\nint8' ;;
        'query --type' | 'similar --type') words=$'adoc\nasciidoc\ncalendar\ncode\ncsv\ndoc\ndocx\neml\nepub\nexcel\nhtm\nhtml\nhwp\nhwpml\nhwpx\nics\nimage\nipynb\njson\nlatex\nmail\nmarkdown\nmbox\nmd\nmhtml\nmsg\nnotebook\nodf\nodp\nods\nodt\norg\npdf\npowerpoint\nppt\npptx\nrst\nrtf\nsubtitles\ntar\ntex\ntext\ntxt\nvcard\nvcf\nvsdx\nword\nxls\nxlsx\nxml\nxps\nzip' ;;
        'query --mode' | 'eval --mode') words=$'hybrid\ndense\nlexical' ;;
        'duplicates --kind') words=$'exact\ncopy\nversion\ncontained\npart\ntranslation' ;;
        *)
            if [[ $word == -* ]]; then
                case "$command" in
                index) words='--include --exclude --archives -i --index --here --retry --reread --part --ray --ocr --max-file-size --passage-tokens --passage-overlap -m --model --endpoint --dimensions --device --storage --into --pull --trust-remote-code --strict --wait --json -q --quiet -h --help' ;;
                query) words='-k --path --type --after --before --mode --weight --min-score --rerank --exact --group -C --context --explain --json --jsonl --brief --max-bytes --offset --paths --format --vimgrep -0 --batch --refresh --log -i --index --all --device --no-resident -q --quiet -h --help' ;;
                show) words='-C --context -i --index --json -h --help' ;;
                open) words='--print -q --quiet -h --help' ;;
                pick) words='-i --index --device -h --help' ;;
                status) words='--problems -i --index --json -h --help' ;;
                remove) words='-i --index --wait -q --quiet -h --help' ;;
                extract) words='--archives --ocr --json -h --help' ;;
                similar) words='-k --path --type --after --before --copies -C --context --explain --json --jsonl --paths -0 -i --index --device --no-resident -q --quiet -h --help' ;;
                duplicates) words='--kind --path --passages --diff --json --jsonl --paths -0 -i --index -q --quiet -h --help' ;;
                topics) words='-n --depth --path --map --json -i --index -q --quiet -h --help' ;;
                vectors) words='--npy --parquet --jsonl --path -i --index -q --quiet -h --help' ;;
                embed) words='--query -m --model --device -q --quiet -h --help' ;;
                similarity) words='--pairs -m --model --device --json -q --quiet -h --help' ;;
                eval) words='--compare --mode --weight --failures --qrels --run --plot -m --model --endpoint --device --passage-tokens -i --index --json -q --quiet -h --help' ;;
                train) words='--from --out --qrels --layers --recipe --dry-run --seed -i --index --device --json -q --quiet -h --help' ;;
                questions) words='--sample --seed --writer --endpoint -i --index -q --quiet -h --help' ;;
                serve) words='-d --detach --stop --status --watch --install --idle -i --index --device --json -q --quiet -h --help' ;;
                ui) words='-i --index --all --port --no-browser --device -h --help' ;;
                mcp) words='-i --index --device -h --help' ;;
                check) words='-i --index -q --quiet -h --help' ;;
                repair) words='-i --index --wait -q --quiet -h --help' ;;
                docs) words='-h --help' ;;
                completions) words='-h --help' ;;
                indexes) words='--json -h --help' ;;
                'indexes backup') words='-i --index -q --quiet -h --help' ;;
                'indexes restore') words='-i --index -q --quiet -h --help' ;;
                'indexes adopt') words='-q --quiet -h --help' ;;
                'indexes upgrade') words='-q --quiet -h --help' ;;
                'indexes rename') words='-q --quiet -h --help' ;;
                'indexes remove') words='-y --yes -q --quiet -h --help' ;;
                'indexes move') words='-i --index --wait -q --quiet -h --help' ;;
                models) words='--json -h --help' ;;
                'models pull') words='-q --quiet -h --help' ;;
                'models check') words='--device --json -q --quiet -h --help' ;;
                'models rm') words='-q --quiet -h --help' ;;
                'models export') words='-q --quiet -h --help' ;;
                'models import') words='-q --quiet -h --help' ;;
                *) words='--version -h --help' ;;
                esac
            elif [[ -z $command ]]; then
                words='index query show open pick status remove extract similar duplicates topics vectors embed similarity eval train questions serve ui mcp check repair docs completions indexes models'
            elif [[ $command == indexes ]]; then
                words='backup restore adopt upgrade rename remove move'
            elif [[ $command == models ]]; then
                words='pull check rm export import'
            elif [[ '|index||remove||extract||eval||indexes backup||indexes restore||indexes move||models import|' == *"|$command|"* ]]; then
                return  # files, by the shell's default
            else
                case "$command" in
                'indexes adopt' | 'indexes upgrade' | 'indexes rename' | 'indexes remove' | 'models pull' | 'models check' | 'models rm' | 'models export') words=$(_kosearch_names "$1" model) ;;
                esac
            fi
            words=${words// /$'\n'}
            ;;
    esac
    while IFS= read -r line; do
        [[ -n $line && $line == "$word"* ]] && COMPREPLY+=("$(printf %q "$line")")
    done <<<"$words"
}

complete -o default -F _kosearch kosearch
